import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { someJob, someProcess, someResult } from "../../test/support/jobs.ts";
import { type Opened, useLedgers } from "../../test/support/ledgers.ts";
import { toEnded } from "../jobs/model/job.ts";
import { JobConflict } from "./ledger.ts";

const { freshDirectory, open } = useLedgers();

describe("a ledger that cannot be written", () => {
  const locked = (path: string): Database => {
    const db = new Database(path);
    db.run("BEGIN IMMEDIATE");
    return db;
  };

  it("keeps changes in their order until it can be, and reports it once", () => {
    const { ledger, path, told, directory } = open();
    const job = someJob();
    ledger.register(job);
    const holder = locked(path);
    ledger.addEvent(job, { atMs: 1, kind: "observer_died", detail: {} });
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/cannot write the ledger .* \(database is locked: another process uses it\)/);
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
    expect(told).toHaveLength(1);
  }, 60_000);
});

describe("a ledger that cannot be opened", () => {
  function unusable(): Opened {
    const directory = freshDirectory();
    writeFileSync(join(directory, "state"), "a file");
    return open(directory);
  }

  it("works in memory, and reports why recorded jobs cannot be read", () => {
    const { ledger, told } = unusable();
    expect(told[0]).toMatch(
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
    const { ledger, told } = unusable();
    ledger.setNote("scanned", "yes");
    ledger.close();
    expect(told).toHaveLength(1);
    ledger.register(someJob());
    ledger.close();
    expect(told[1]).toMatch(/^1 change is lost that could not be written to the ledger /);
    ledger.register(someJob({ jobId: "b", process: someProcess({ pid: 1 }) }));
    ledger.close();
    expect(told[2]).toMatch(/^2 changes are lost that could not be written/);
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
