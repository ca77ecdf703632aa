import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { inboxNames, inboxOf, someLaunch, writeLaunch } from "../../../test/support/inbox.ts";
import { someJob, someProcess, someResult } from "../../../test/support/jobs.ts";
import { useLedgers } from "../../../test/support/ledgers.ts";
import { toEnded } from "../../jobs/model/job.ts";
import { setSoftFileLimit } from "../../sys/ownProcess.ts";
import { JobConflict, Ledger } from "../ledger.ts";
import { LedgerReader, type LogEntry } from "../reader.ts";
import { appendResult, appendRunning, finishInboxFile } from "./inboxFile.ts";

const { open } = useLedgers();

describe("a plain launch that is not in the ledger", () => {
  it("is found by each question about it, and stays in its file", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    const { job, running, result } = launch;
    const { process } = running;
    const file = writeLaunch(path, launch, "registered");
    expect(ledger.openJobs()).toEqual([job]);
    expect(ledger.job(job.key)).toEqual(job);
    expect(ledger.jobBeingStartedBy(job.observer.bootId, job.observer.pid)).toEqual(job);
    expect(ledger.openJobOfProcess(process)).toBeUndefined();
    appendRunning(file, running);
    const started = ledger.job(job.key);
    expect(started).toMatchObject({ state: "running", process });
    expect(ledger.openJobOfProcess(process)).toEqual(started as never);
    expect(ledger.jobBeingStartedBy(job.observer.bootId, job.observer.pid)).toBeUndefined();
    expect(ledger.isObserver(job.observer)).toBeTrue();
    expect(ledger.jobsNamed(job.jobId)).toEqual([started as never]);
    expect(ledger.jobsToCleanUp()).toEqual([started as never]);
    expect(inboxNames(path)).toEqual([file.name]);
    appendResult(file, result);
    finishInboxFile(file);
    expect(ledger.openJobs()).toEqual([]);
    if (started?.state !== "running") throw new Error("it is not running");
    const ended = { ...toEnded(started), changes: [], cleanedUp: true };
    expect(ledger.history(10)).toEqual([{ job: ended, result }]);
    expect(ledger.verdicts({})).toHaveLength(1);
    expect(ledger.countEnded(10)).toBe(1);
    expect(inboxNames(path)).toEqual([`${job.key}.done`]);
  });

  it("has ended when its writer has removed its cgroups, or is dead", () => {
    const { ledger, path } = open();
    const [left, dead] = [someLaunch(), someLaunch()];
    const file = writeLaunch(path, left, "result");
    writeLaunch(path, dead, "result");
    expect(ledger.openJobs().map(({ key }) => key)).toEqual([left.job.key, dead.job.key]);
    expect(ledger.endedJobsToCleanUp()).toEqual([]);
    finishInboxFile(file);
    const [recovered] = ledger.openJobs();
    expect(recovered?.key).toBe(dead.job.key);
    if (recovered?.state !== "running") throw new Error("it is not running");
    // The recovery records its own result, and finds the one that is there.
    expect(ledger.recordResult(recovered, someResult(recovered, { slaReason: "recovered" }))).toBe(
      "already ended",
    );
    expect(ledger.result(recovered)).toEqual(dead.result);
    expect(ledger.endedJobsToCleanUp().map(({ key }) => key)).toEqual([dead.job.key]);
  });

  it("comes in the order of the others", () => {
    const { ledger, path } = open();
    const keys = ["01", "02", "03", "04"].map((digits) => `01a21da9-d10f-76b6-b1c8-51115d8ba3${digits}`);
    const [first, second, third, fourth] = keys as [string, string, string, string];
    writeLaunch(path, someLaunch({ key: second, jobId: "second" }), "running");
    ledger.register(someJob({ key: first, jobId: "first", process: someProcess({ pid: 1 }) }));
    ledger.register(someJob({ key: third, jobId: "third", process: someProcess({ pid: 3 }) }));
    writeLaunch(path, someLaunch({ key: fourth, jobId: "fourth" }), "registered");
    expect(ledger.openJobs().map(({ key }) => key)).toEqual(keys);
  });

  it("is moved into the ledger by a change, which its writer notices", () => {
    const { ledger, path, directory } = open();
    const launch = someLaunch();
    const other = someLaunch();
    writeLaunch(path, other, "running");
    const file = writeLaunch(path, launch, "running");
    const seen = ledger.job(launch.job.key);
    if (seen?.state !== "running") throw new Error("it is not running");
    const taken = ledger.takeOver(seen, null);
    expect(taken).toEqual({ ...seen, observer: null });
    expect(open(directory).ledger.job(seen.key)).toEqual(taken as never);
    expect(appendResult(file, launch.result)).toBe("folded");
    expect(inboxNames(path)).toEqual([`${other.job.jobId}.job`]);
  });

  it("takes an event, a result and a mark as any job does", () => {
    const { ledger, path } = open();
    const { job, running } = someLaunch();
    writeLaunch(path, { job, running, result: someResult(job) }, "running");
    const seen = ledger.job(job.key);
    if (seen?.state !== "running") throw new Error("it is not running");
    ledger.addEvent(seen, { atMs: 1, kind: "observer_died", detail: {} });
    expect(ledger.events(seen)).toHaveLength(1);
    const ended = ledger.recordResult(seen, someResult(seen));
    if (ended === "already ended") throw new Error("it has no result yet");
    expect(ledger.recordResult(seen, someResult(seen))).toBe("already ended");
    expect(ledger.markCleanedUp(ended)).toEqual(ledger.job(seen.key) as never);
  });

  it("keeps its id and its process from other jobs", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    writeLaunch(path, launch, "running");
    expect(() => ledger.register(someJob({ jobId: launch.job.jobId }))).toThrow(JobConflict);
    expect(() => ledger.register(someJob({ process: launch.running.process }))).toThrow(JobConflict);
    ledger.register(someJob());
    expect(ledger.openJobs()).toHaveLength(2);
  });

  it("changes the version of the ledger at each step, and nothing else does", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    let last = ledger.versionOfOthers();
    const expectChange = (): void => {
      const version = ledger.versionOfOthers();
      expect(version).not.toBe(last);
      ledger.openJobs();
      last = ledger.versionOfOthers();
      expect(ledger.versionOfOthers()).toBe(last);
    };
    const file = writeLaunch(path, launch, "registered");
    expectChange();
    appendRunning(file, launch.running);
    expectChange();
    appendResult(file, launch.result);
    finishInboxFile(file);
    expectChange();
  });

  it("is read by a reader that finds no ledger", () => {
    const { ledger, path } = open();
    ledger.close();
    writeLaunch(path, someLaunch(), "running");
    for (const name of readdirSync(join(path, "..")).filter((each) => each.startsWith("ledger.db")))
      rmSync(join(path, "..", name));
    const reader = new Ledger(path, () => {}, "read");
    expect(reader.isMissing).toBeTrue();
    expect(reader.openJobs()).toHaveLength(1);
  });

  it("is continued in the ledger by its own process, from every step", () => {
    for (const last of ["registered", "running", "result"] as const) {
      const { ledger, path } = open();
      const launch = someLaunch();
      const file = writeLaunch(path, launch, last);
      // Folded, removed by hand, or still there: the process continues all the same.
      if (last === "result") renameSync(join(inboxOf(path), file.name), join(path, "../gone"));
      const { job, running, result } = launch;
      expect(ledger.continueFromInbox({ job, running })).toMatchObject({ key: job.key });
      expect(ledger.job(job.key)?.process).toEqual(running.process);
      expect(ledger.continueFromInbox({ job, running, result })).toMatchObject({ state: "ended" });
      expect(ledger.continueFromInbox({ job, running, result })).toMatchObject({ state: "ended" });
      expect(ledger.result(job)).toEqual(result);
      expect(inboxNames(path)).toEqual([]);
    }
  });

  it("is continued there under another id, and without its process, where other jobs have them", () => {
    const { ledger, path } = open();
    const { job, running, result } = someLaunch();
    ledger.register(someJob({ jobId: job.jobId, process: someProcess({ pid: 1 }) }));
    ledger.register(someJob({ process: running.process }));
    const jobId = `${job.jobId}-${job.key.slice(-8)}`;
    expect(ledger.continueFromInbox({ job, running })).toEqual({ ...job, jobId });
    expect(ledger.continueFromInbox({ job, running, result })).toMatchObject({ jobId, state: "ended" });
    expect(ledger.result(job)).toEqual(result);
    expect(inboxNames(path)).toEqual([]);
  });
});

it("without a free descriptor, what was read stays, and the rest is read as soon as there is one", () => {
  const { ledger, path, messages } = open();
  const [first, second] = [someLaunch(), someLaunch()];
  writeLaunch(path, first, "running");
  expect(ledger.openJobs()).toHaveLength(1);
  writeLaunch(path, second, "running");
  const [, soft = ""] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  expect(setSoftFileLimit(3)).toBe(0);
  try {
    expect(ledger.openJobs().map(({ key }) => key)).toEqual([first.job.key]);
  } finally {
    setSoftFileLimit(BigInt(soft));
  }
  expect(ledger.openJobs()).toHaveLength(2);
  expect(messages).toEqual([]);
});

describe("while the ledger is locked", () => {
  it("launches are read, and a change of one waits in memory until it can be folded", () => {
    const { ledger, path, directory } = open();
    const launch = someLaunch();
    const file = writeLaunch(path, launch, "running");
    const seen = ledger.job(launch.job.key);
    if (seen?.state !== "running") throw new Error("it is not running");
    const holder = new Database(path);
    holder.run("BEGIN IMMEDIATE");
    const done = someLaunch();
    writeLaunch(path, done);
    expect(ledger.history(10)).toHaveLength(1);
    ledger.foldInbox();
    const changed = ledger.recordSpec(seen, { intent: "live" });
    expect(ledger.job(seen.key)).toEqual(changed);
    expect(ledger.openJobs()).toEqual([changed]);
    expect(inboxNames(path)).toEqual([file.name, `${done.job.key}.done`].sort());
    // Others see what is in the inbox.
    expect(open(directory).ledger.openJobs()).toEqual([seen]);
    holder.run("ROLLBACK");
    holder.close();
    expect(ledger.flush()).toBe(0);
    expect(open(directory).ledger.job(seen.key)).toEqual(changed);
    expect(appendResult(file, launch.result)).toBe("folded");
  }, 60_000);
});

describe("the log of a state directory", () => {
  const shown = (entries: LogEntry[]) =>
    entries.map((entry) =>
      entry.kind === "recorded" ? entry.event.kind : `${entry.job.jobId} ${entry.kind}`,
    );

  it("has each entry of a launch once, however it comes into the ledger", () => {
    const { ledger, path } = open();
    const reader = new LedgerReader(path, () => {}, "read");
    let position = reader.position();
    expect(reader.since(0, position)).toEqual([]);
    const next = () => {
      const end = reader.position();
      const entries = reader.between(position, end, 0);
      position = end;
      return shown(entries);
    };
    const [left, folded] = [someLaunch({ jobId: "left" }), someLaunch({ jobId: "folded" })];
    const leftFile = writeLaunch(path, left, "registered");
    const foldedFile = writeLaunch(path, folded, "registered");
    expect(next().sort()).toEqual(["folded registered", "left registered"]);
    expect(next()).toEqual([]);
    appendRunning(leftFile, left.running);
    appendRunning(foldedFile, folded.running);
    expect(next().sort()).toEqual(["folded started", "left started"]);
    const seen = ledger.job(folded.job.key);
    if (seen?.state !== "running") throw new Error("it is not running");
    ledger.addEvent(seen, { atMs: 1, kind: "observer_died", detail: {} });
    expect(next()).toEqual(["observer_died"]);
    appendResult(leftFile, left.result);
    finishInboxFile(leftFile);
    expect(next()).toEqual(["left ended"]);
    ledger.foldInbox();
    ledger.recordResult(seen, folded.result);
    expect(next()).toEqual(["folded ended"]);
    const quick = someLaunch({ jobId: "quick" });
    writeLaunch(path, quick);
    ledger.foldInbox();
    expect(next()).toEqual(["quick registered", "quick started", "quick ended"]);
    expect(next()).toEqual([]);
    const all = new LedgerReader(path, () => {}, "read");
    expect(shown(all.since(0, all.position(), "quick"))).toEqual([
      "quick registered",
      "quick started",
      "quick ended",
    ]);
    expect(all.countJobs()).toEqual({ open: 0, ended: 3 });
  });
});
