import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { someJob, someProcess, someResult } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";
import type { Ending } from "../jobs/model/ending.ts";
import { toEnded } from "../jobs/model/job.ts";
import { outcomeOf } from "../jobs/model/outcome.ts";
import type { HistoryFilter } from "./endedJobs.ts";
import { resultToRow, rowToResult } from "./rows.ts";

const { open } = useLedgers();

describe("a result", () => {
  it("ends its job once: a second result is not recorded", () => {
    const { ledger, directory } = open();
    const job = someJob();
    ledger.register(job);
    expect(ledger.recordResult(job, someResult(job))).toEqual(toEnded(job));
    const second = someResult(job, { ending: { kind: "exited", code: 9, evidence: "parent" } });
    expect(open(directory).ledger.recordResult(job, second)).toBe("already ended");
    expect(ledger.result(job)).toEqual(someResult(job));
    expect(ledger.job(job.key)).toEqual(toEnded(job));
  });

  it("cannot be changed or deleted by any program", () => {
    const { ledger, path } = open();
    const job = someJob();
    ledger.register(job);
    ledger.recordResult(job, someResult(job));
    const db = new Database(path);
    expect(() => db.run("UPDATE results SET exit_code = 1")).toThrow("a result is never changed");
    expect(() => db.run("DELETE FROM results")).toThrow("a result is never deleted");
    db.close();
  });

  const endings: Ending[] = [
    { kind: "exited", code: 3, evidence: "pidfd" },
    { kind: "signaled", signal: "SIGSEGV", evidence: "proc-event" },
    { kind: "exit-unknown", reason: "no event reported it" },
    { kind: "unobserved", reason: "no ffrtmp observed it" },
    { kind: "never-started", reason: "ENOEXEC" },
    { kind: "detached" },
  ];
  for (const ending of endings) {
    it(`reads back the ending "${ending.kind}" as it was written`, () => {
      const { ledger, directory } = open();
      const job = someJob();
      ledger.register(job);
      const result = someResult(job, { ending });
      ledger.recordResult(job, result);
      expect(open(directory).ledger.result(job)).toEqual(result);
    });
  }

  it("keeps the columns that it had before there were kinds of endings", () => {
    const { ledger, path } = open();
    const columns = endings.map((ending, index) => {
      const job = someJob({ jobId: `job-${index}`, process: someProcess({ pid: index + 1 }) });
      ledger.register(job);
      ledger.recordResult(job, someResult(job, { ending }));
      const db = new Database(path);
      const row = db
        .query(
          "SELECT ending, exit_code, signal, exit_evidence, exit_unknown_because FROM results WHERE key = ?",
        )
        .values(job.key);
      db.close();
      return row[0];
    });
    expect(columns).toEqual([
      ["exited", 3, null, "pidfd", null],
      ["exited", null, "SIGSEGV", "proc-event", null],
      ["exited", null, null, null, "no event reported it"],
      ["unobserved", null, null, null, "no ffrtmp observed it"],
      ["never_started", null, null, null, "ENOEXEC"],
      ["detached", null, null, null, "it was alive when it was released"],
    ]);
  });

  it("is read from a line of the inbox that says nothing of what held the job back", () => {
    const result = someResult(someJob());
    const { hindered: _, ...row } = resultToRow(result);
    expect(rowToResult(row)).toEqual(result);
    expect(() => rowToResult({ ...row, hindered: '{"own_limit":"x"}' })).toThrow("hindered does not have");
  });

  it("needs evidence for an exit code, and a reason where there is none", () => {
    const { ledger, path } = open();
    const job = someJob();
    ledger.register(job);
    const db = new Database(path);
    const insert = (code: number | null, evidence: string | null, reason: string | null) => () =>
      db.run(
        `INSERT INTO results (key, ending, end_ms, exit_code, exit_evidence, exit_unknown_because,
           sla_compliant, sla_reason, outcomes, usage) VALUES (?, 'exited', 1, ?, ?, ?, 1, '', '[]', '{}')`,
        [job.key, code, evidence, reason],
      );
    expect(insert(0, null, null)).toThrow("CHECK");
    expect(insert(null, "parent", null)).toThrow("CHECK");
    expect(insert(null, null, null)).toThrow("CHECK");
    insert(null, null, "no event reported it")();
    db.close();
    expect(ledger.result(job)?.ending).toEqual({ kind: "exit-unknown", reason: "no event reported it" });
  });

  it("is in the history, the latest first, up to the number that is asked for", () => {
    const { ledger } = open();
    for (const [jobId, endMs] of [
      ["a", 10],
      ["b", 30],
      ["c", 20],
    ] as const) {
      const job = someJob({ jobId, process: someProcess({ pid: endMs }) });
      ledger.register(job);
      ledger.recordResult(job, someResult(job, { startMs: 0, endMs }));
    }
    ledger.register(someJob({ jobId: "still running" }));
    expect(ledger.history(50).map(({ job }) => job.jobId)).toEqual(["b", "c", "a"]);
    expect(ledger.history(1).map(({ job }) => job.jobId)).toEqual(["b"]);
  });
});

describe("history()", () => {
  it("counts a workload as failed where its outcome is failed or killed, and its exit as unknown otherwise", () => {
    const endings: Ending[] = [
      { kind: "exited", code: 0, evidence: "parent" },
      { kind: "exited", code: 255, evidence: "pidfd" },
      { kind: "signaled", signal: "SIGSEGV", evidence: "pidfd" },
      { kind: "never-started", reason: "x" },
      { kind: "unobserved", reason: "x" },
      { kind: "exit-unknown", reason: "x" },
      { kind: "detached" },
    ];
    const { ledger } = open();
    for (const [index, ending] of endings.entries()) {
      const job = someJob({ jobId: ending.kind + index, process: someProcess({ pid: index + 1 }) });
      ledger.register(job);
      ledger.recordResult(job, someResult(job, { ending }));
    }
    const failed = ledger.history(50, { onlyFailed: true }).map(({ result }) => outcomeOf(result.ending));
    expect(failed.toSorted()).toEqual(["failed", "failed", "killed"]);
    expect(ledger.countUnknownExits({})).toBe(2);
    expect(ledger.countUnknownExits({ untilMs: 1 })).toBe(0);
  });

  it("has the latest end first, and stops at the limit of jobs that pass the filter", () => {
    const { ledger } = open();
    for (let index = 0; index < 20; index++) {
      const tenant = index % 2 === 0 ? "even" : null;
      const job = someJob({ jobId: `job-${index}`, tenant, process: someProcess({ pid: index + 1 }) });
      ledger.register(job);
      ledger.recordResult(job, someResult(job, { endMs: 1000 + index }));
    }
    const ids = (limit: number, filter: HistoryFilter) =>
      ledger.history(limit, filter).map(({ job }) => job.jobId);
    expect(ids(2, { tenant: "even" })).toEqual(["job-18", "job-16"]);
    expect(ids(2, { tenant: "even", sinceMs: 0, untilMs: 1016 })).toEqual(["job-14", "job-12"]);
    expect(ids(50, { sinceMs: 1018 })).toEqual(["job-19", "job-18"]);
    expect(ids(50, { jobId: "job-3" })).toEqual(["job-3"]);
  });
});
