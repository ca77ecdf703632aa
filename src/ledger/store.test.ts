import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { someJob, someProcess, someResult } from "../../test/support/jobs.ts";
import { type Opened, useLedgers } from "../../test/support/ledgers.ts";
import { toEnded } from "../jobs/model/job.ts";
import { JobConflict } from "./ledger.ts";

const { freshDirectory, open } = useLedgers();

function locked(path: string): Database {
  const db = new Database(path);
  db.run("BEGIN IMMEDIATE");
  return db;
}

describe("a ledger that cannot be written", () => {
  it("keeps changes in their order until it can be, and reports it once", () => {
    const { ledger, path, messages, directory } = open();
    const job = someJob();
    ledger.register(job);
    const holder = locked(path);
    ledger.addEvent(job, { atMs: 1, kind: "observer_died", detail: {} });
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(/cannot write the ledger .* \(database is locked: another process uses it\)/);
    holder.run("ROLLBACK");
    holder.close();
    ledger.addEvent(job, { atMs: 2, kind: "observer_left", detail: {} });
    expect(ledger.flush()).toBe(0);
    expect(
      open(directory)
        .ledger.events(job)
        .map(({ kind }) => kind),
    ).toEqual(["observer_died", "observer_left"]);
    ledger.close();
    expect(messages).toHaveLength(1);
  }, 60_000);
});

describe("a ledger that stays locked", () => {
  it("keeps 10,000 changes, reports the first loss, and still records the results of earlier jobs", () => {
    const { ledger, path, messages, directory } = open();
    const early = someJob({ jobId: "early" });
    ledger.register(early);
    const holder = locked(path);
    for (let atMs = 0; atMs < 10_000; atMs++)
      ledger.addEvent(early, { atMs, kind: "observer_died", detail: {} });
    expect(messages).toHaveLength(1);
    // Enough to be forgotten, and each one is complete while it lasts.
    for (let pid = 1; pid <= 600; pid++) {
      const late = someJob({ jobId: `late-${pid}`, process: someProcess({ pid }) });
      ledger.register(late);
      expect(ledger.job(late.key)?.jobId).toBe(late.jobId);
      const ended = ledger.recordResult(late, someResult(late));
      if (ended === "already ended") throw new Error("it has no result yet");
      ledger.markCleanedUp(ended);
    }
    expect(messages).toHaveLength(2);
    expect(messages[1]).toMatch(
      /more than 10000 changes wait .*: jobs that start from now on are not recorded/,
    );
    ledger.recordResult(early, someResult(early));
    holder.run("ROLLBACK");
    holder.close();
    ledger.close();
    expect(messages[2]).toMatch(/^1800 changes are lost that could not be written/);
    const { ledger: next } = open(directory);
    expect(next.history(5).map(({ job }) => job.jobId)).toEqual(["early"]);
    expect(next.events(early)).toHaveLength(10_000);
  }, 60_000);

  it("shows its own changes beside the recorded jobs", () => {
    const { ledger, path } = open();
    const [one, two] = [1, 2].map((pid) => someJob({ jobId: `job-${pid}`, process: someProcess({ pid }) }));
    if (!one || !two) throw new Error("there are two jobs");
    ledger.register(one);
    ledger.register(two);
    const holder = locked(path);
    ledger.recordResult(one, someResult(one));
    const three = someJob({ jobId: "job-3", process: someProcess({ pid: 3 }) });
    ledger.register(three);
    expect(ledger.openJobs().map(({ jobId }) => jobId)).toEqual(expect.arrayContaining(["job-2", "job-3"]));
    expect(ledger.openJobs()).toHaveLength(2);
    expect(() => ledger.register(someJob({ jobId: "job-2", process: someProcess({ pid: 4 }) }))).toThrow(
      JobConflict,
    );
    expect(() => ledger.register(someJob({ jobId: "other", process: someProcess({ pid: 2 }) }))).toThrow(
      JobConflict,
    );
    expect(ledger.history(5)).toHaveLength(1);
    holder.run("ROLLBACK");
    holder.close();
    expect(ledger.flush()).toBe(0);
    expect(ledger.openJobs()).toHaveLength(2);
  });
});

describe("a ledger that cannot be opened", () => {
  function unusable(): Opened {
    const directory = freshDirectory();
    writeFileSync(join(directory, "state"), "a file");
    return open(directory);
  }

  it("works in memory, and reports why recorded jobs cannot be read", () => {
    const { ledger, messages } = unusable();
    expect(messages[0]).toMatch(
      /cannot write the ledger \S+ \(ENOTDIR .*governing continues, what happens is kept in memory only/,
    );
    expect(ledger.unreadableBecause).toMatch(/^ENOTDIR/);
    const job = someJob();
    ledger.register(job);
    expect(() => ledger.register(someJob())).toThrow(JobConflict);
    expect(ledger.recordResult(job, someResult(job))).toEqual(toEnded(job));
    expect(ledger.history(5)).toHaveLength(1);
  });

  it("counts the changes that are lost with it, without its notes about itself", () => {
    const { ledger, messages } = unusable();
    ledger.setNote("scanned", "yes");
    ledger.close();
    expect(messages).toHaveLength(1);
    ledger.register(someJob());
    ledger.close();
    expect(messages[1]).toMatch(/^1 change is lost that could not be written to the ledger /);
    ledger.register(someJob({ jobId: "b", process: someProcess({ pid: 1 }) }));
    ledger.close();
    expect(messages[2]).toMatch(/^2 changes are lost that could not be written/);
  });

  it("is written completely as soon as it can be", () => {
    const { ledger, directory } = unusable();
    const job = someJob();
    ledger.register(job);
    rmSync(join(directory, "state"));
    expect(ledger.flush()).toBe(0);
    expect(ledger.unreadableBecause).toBeUndefined();
    ledger.recordResult(job, someResult(job));
    expect(open(directory).ledger.history(5)).toHaveLength(1);
  });
});
