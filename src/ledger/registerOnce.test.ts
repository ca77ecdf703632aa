import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { STEPS, someLaunch, writeLaunch } from "../../test/support/inbox.ts";
import { someJob, someProcess, someResult, someStartingJob } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";
import { toEnded } from "../jobs/model/job.ts";
import { realHost } from "../linux/host.ts";
import { JobConflict, RETIRED } from "./ledger.ts";
import { locateState } from "./location.ts";
import { prune } from "./prune.ts";

const { open } = useLedgers();

const EVERYTHING = { maxAgeMs: 0, maxBytes: 0 };

describe("a job that is registered once", () => {
  it("is recorded as any other", () => {
    const { ledger } = open();
    const job = someStartingJob({ jobId: "a" });
    ledger.registerOnce(job);
    expect(ledger.openJobs()).toEqual([job]);
    expect(ledger.usedOnceMs("a")).toBe(job.createdMs);
  });

  it("needs an id that no open or ended job has, whichever way that was registered", () => {
    const { ledger } = open();
    ledger.registerOnce(someStartingJob({ jobId: "open" }));
    const ended = someStartingJob({ jobId: "ended" });
    ledger.register(ended);
    ledger.recordResult(ended, someResult(ended));
    for (const jobId of ["open", "ended"])
      expect(() => ledger.registerOnce(someStartingJob({ jobId }))).toThrow(JobConflict);
    expect(ledger.jobsNamed("ended")).toHaveLength(1);
  });

  it("needs an id that was never used this way, also when the record of that job is deleted", () => {
    const { ledger, path } = open();
    const job = someStartingJob({ jobId: "a" });
    ledger.registerOnce(job);
    ledger.recordResult(job, someResult(job));
    ledger.markCleanedUp(toEnded(job));
    const options = { state: locateState(ledger.path, {}), retention: EVERYTHING, nowMs: Date.now() + 1 };
    const pass = prune({ host: realHost(), countLogs: false, ...options });
    while (!pass.next().done);
    expect(ledger.jobsNamed("a")).toEqual([]);
    expect(() => ledger.registerOnce(someStartingJob({ jobId: "a" }))).toThrow(JobConflict);
    expect(ledger.usedOnceMs("a")).toBe(job.createdMs);
    const db = new Database(path);
    expect(() => db.run("DELETE FROM once_ids")).toThrow("stays used");
    db.close();
  });

  it.each([...STEPS])("needs an id that no plain launch has, which is %s", (step) => {
    const { ledger, path } = open();
    const launch = someLaunch();
    writeLaunch(path, launch, step);
    const { jobId } = launch.job;
    expect(() => ledger.registerOnce(someStartingJob({ jobId }))).toThrow(JobConflict);
  });

  it("is not registered where another open job governs its process", () => {
    const { ledger } = open();
    const process = someProcess();
    ledger.register(someJob({ jobId: "other", process }));
    expect(() => ledger.registerOnce(someStartingJob({ jobId: "a", process }))).toThrow(JobConflict);
    expect(ledger.jobsNamed("a")).toEqual([]);
    expect(ledger.usedOnceMs("a")).toBeUndefined();
  });

  it("needs an id that was not retired, which a used id cannot be", () => {
    const { ledger } = open();
    ledger.registerOnce(someStartingJob({ jobId: "used" }));
    ledger.register(someStartingJob({ jobId: "plain" }));
    expect(["used", "plain", "free", "free"].map((jobId) => ledger.retireId(jobId))).toEqual([
      ...[false, false, true, true],
    ]);
    expect(() => ledger.registerOnce(someStartingJob({ jobId: "free" }))).toThrow(JobConflict);
    expect(ledger.usedOnceMs("free")).toBe(RETIRED);
    expect(ledger.jobsNamed("free")).toEqual([]);
  });

  it("leaves the ledger as fast as before for other changes", () => {
    const { ledger } = open();
    ledger.registerOnce(someStartingJob());
    const NORMAL = 1;
    expect(ledger["fileRows"]("PRAGMA synchronous")).toEqual([{ synchronous: NORMAL }]);
    expect(ledger["fileRows"]("PRAGMA busy_timeout")).toEqual([{ timeout: 200 }]);
  });
});
