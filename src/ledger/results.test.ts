import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { someJob, someResult } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";

const { open } = useLedgers();

describe("a result", () => {
  it("ends its job, once: a second one is not taken", () => {
    const { ledger, directory } = open();
    const job = someJob();
    ledger.begin(job);
    expect(ledger.end(job, someResult(job))).toBe(true);
    expect(job).toMatchObject({ state: "ended", observer: null });
    expect(open(directory).ledger.end(job, someResult(job, { exitCode: 9 }))).toBe(false);
    expect(ledger.result(job)).toEqual(someResult(job));
    expect(ledger.job(job.key)).toMatchObject({ state: "ended", observer: null });
  });

  it("can be neither changed nor deleted, whoever tries", () => {
    const { ledger, path } = open();
    const job = someJob();
    ledger.begin(job);
    ledger.end(job, someResult(job));
    const db = new Database(path);
    expect(() => db.run("UPDATE results SET exit_code = 1")).toThrow("a result is never changed");
    expect(() => db.run("DELETE FROM results")).toThrow("a result is never deleted");
    db.close();
  });

  it("needs evidence for an exit code, and a reason for none", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    expect(() => ledger.end(job, someResult(job, { exitEvidence: null }))).toThrow("CHECK");
    expect(() => ledger.end(job, someResult(job, { exitCode: null }))).toThrow("CHECK");
    const unknown = { exitCode: null, exitEvidence: null, ending: "unobserved" } as const;
    expect(() => ledger.end(job, someResult(job, unknown))).toThrow("CHECK");
    expect(ledger.end(job, someResult(job, { ...unknown, exitUnknownBecause: "nobody looked" }))).toBe(true);
  });

  it("is in the history, the latest first, as many as are asked for", () => {
    const { ledger } = open();
    for (const [jobId, endMs] of [
      ["a", 10],
      ["b", 30],
      ["c", 20],
    ] as const) {
      const job = someJob({ jobId, pid: endMs });
      ledger.begin(job);
      ledger.end(job, someResult(job, { startMs: 0, endMs }));
    }
    ledger.begin(someJob({ jobId: "still running" }));
    expect(ledger.history(50).map(({ job }) => job.jobId)).toEqual(["b", "c", "a"]);
    expect(ledger.history(1).map(({ job }) => job.jobId)).toEqual(["b"]);
  });
});
