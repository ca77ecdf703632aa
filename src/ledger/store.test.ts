import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { someJob, someResult } from "../../test/support/jobs.ts";
import { type Opened, useLedgers } from "../../test/support/ledgers.ts";
import { JobConflict } from "./ledger.ts";

const { freshDirectory, open } = useLedgers();

describe("a ledger that cannot be written", () => {
  const locked = (path: string): Database => {
    const db = new Database(path);
    db.run("BEGIN IMMEDIATE");
    return db;
  };

  it("keeps changes until it can be, in their order, and says so once", () => {
    const { ledger, path, told, directory } = open();
    const job = someJob();
    ledger.begin(job);
    const holder = locked(path);
    ledger.addEvent(job, 1, "first", {});
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/cannot write the ledger .* \(database is locked: another process holds it\)/);
    holder.run("ROLLBACK");
    holder.close();
    ledger.addEvent(job, 2, "second", {});
    expect(ledger.flush()).toBe(0);
    expect(
      open(directory)
        .ledger.events(job)
        .map(({ kind }) => kind),
    ).toEqual(["first", "second"]);
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

  it("works in memory, and says why nothing on record can be seen", () => {
    const { ledger, told } = unusable();
    expect(told[0]).toMatch(
      /cannot write the ledger \S+ \(ENOTDIR .*governing goes on, what happens is kept in memory only/,
    );
    expect(ledger.unreadableBecause).toMatch(/^ENOTDIR/);
    const job = someJob();
    ledger.begin(job);
    expect(() => ledger.begin(someJob())).toThrow(JobConflict);
    expect(ledger.end(job, someResult(job))).toBe(true);
    expect(ledger.history(5)).toHaveLength(1);
  });

  it("counts what is lost with it, notes about itself apart", () => {
    const { ledger, told } = unusable();
    ledger.setNote("scanned", "yes");
    ledger.close();
    expect(told).toHaveLength(1);
    ledger.begin(someJob());
    ledger.close();
    expect(told[1]).toMatch(/^1 change is lost that could not be written to the ledger /);
    ledger.begin(someJob({ jobId: "b", pid: 1 }));
    ledger.close();
    expect(told[2]).toMatch(/^2 changes are lost that could not be written/);
  });

  it("is written whole as soon as it can be", () => {
    const { ledger, directory } = unusable();
    const job = someJob();
    ledger.begin(job);
    rmSync(join(directory, "state"));
    expect(ledger.flush()).toBe(0);
    expect(ledger.unreadableBecause).toBeUndefined();
    ledger.end(job, someResult(job));
    expect(open(directory).ledger.history(5)).toHaveLength(1);
  });
});
