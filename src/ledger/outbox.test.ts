import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { chmodSync, chownSync, existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { someLaunch, writeLaunch } from "../../test/support/inbox.ts";
import { someJob, someProcess, someResult } from "../../test/support/jobs.ts";
import { type Opened, useLedgers } from "../../test/support/ledgers.ts";
import { type RunningJob, toEnded } from "../jobs/model/job.ts";
import { realHost } from "../linux/host.ts";
import { locateState } from "./location.ts";
import { Outbox } from "./outbox.ts";
import { compact, prune } from "./prune.ts";
import { readLedgerFile, stampOfLedger } from "./readOnly.ts";

const { open } = useLedgers();
let pids = 6_000_000;

/** Records a job that ended at a time. */
function recordEnded({ ledger }: Opened, endMs: number, different: Partial<RunningJob> = {}): string {
  const job = someJob({ jobId: `job-${++pids}`, process: someProcess({ pid: pids }), ...different });
  ledger.register(job);
  ledger.recordResult(job, someResult(job, { endMs }));
  ledger.markCleanedUp(toEnded(job));
  return job.key;
}

function numbers({ path }: Pick<Opened, "path">, after = 0): [number, string][] {
  return readLedgerFile(path, (db) => new Outbox(db).after(after, 1000).map(({ seq, key }) => [seq, key]));
}

function pruneBefore({ path }: Opened, ms: number): void {
  const retention = { maxAgeMs: 0, maxBytes: Number.POSITIVE_INFINITY };
  const state = locateState(dirname(path), {});
  const pass = prune({ host: realHost(), state, retention, nowMs: ms, countLogs: false });
  while (!pass.next().done);
}

describe("the outbox", () => {
  it("numbers results in the order in which they are recorded, not of their ends or keys", () => {
    const opened = open();
    const [first, second] = [
      someJob({ jobId: "a" }),
      someJob({ jobId: "b", process: someProcess({ pid: 1 }) }),
    ];
    for (const job of [first, second]) opened.ledger.register(job);
    opened.ledger.recordResult(second, someResult(second, { endMs: 50 }));
    opened.ledger.recordResult(first, someResult(first, { endMs: 40 }));
    expect(opened.ledger.recordResult(first, someResult(first))).toBe("already ended");
    expect(numbers(opened)).toEqual([
      [1, second.key],
      [2, first.key],
    ]);
    expect(numbers(opened, 1)).toEqual([[2, first.key]]);
  });

  it("includes a plain launch when its file is folded", () => {
    const opened = open();
    const launch = someLaunch();
    writeLaunch(opened.path, launch);
    expect(numbers(opened)).toEqual([]);
    opened.ledger.foldInbox();
    expect(numbers(opened)).toEqual([[1, launch.job.key]]);
    opened.ledger.foldInbox();
    expect(numbers(opened)).toHaveLength(1);
  });

  it("is pruned with the history, uses no number again, and survives a new writing of the file", () => {
    const opened = open();
    recordEnded(opened, 1000);
    const kept = recordEnded(opened, 3000);
    recordEnded(opened, 1000);
    pruneBefore(opened, 2000);
    compact(locateState(dirname(opened.path), {}));
    expect(numbers(opened)).toEqual([[2, kept]]);
    const last = readLedgerFile(opened.path, (db) => {
      const outbox = new Outbox(db);
      return [outbox.lastSeq, outbox.keyOf(2), outbox.keyOf(3), outbox.endOfNextMs(0), outbox.endOfNextMs(2)];
    });
    expect(last).toEqual([3, kept, undefined, 3000, undefined]);
    const next = recordEnded(opened, 4000);
    expect(numbers(opened, 2)).toEqual([[4, next]]);
  });

  it("has the id of its ledger, which another ledger does not have", () => {
    const idOf = ({ path }: Opened) => readLedgerFile(path, (db) => new Outbox(db).ledgerId);
    const [one, other] = [open(), open()];
    expect(idOf(one)).toMatch(/^[0-9a-f]{32}$/);
    expect(idOf(one)).toBe(idOf(one));
    expect(idOf(one)).not.toBe(idOf(other));
  });

  it("names the fault of a result that cannot be read, and continues with the next", () => {
    const opened = open();
    const broken = recordEnded(opened, 1);
    recordEnded(opened, 2);
    const db = new Database(opened.path);
    db.run("UPDATE jobs SET labels = 'no JSON' WHERE key = ?", [broken]);
    db.close();
    const found = readLedgerFile(opened.path, (file) => new Outbox(file).after(0, 10));
    expect(found[0]).toEqual({ seq: 1, key: broken, fault: expect.stringContaining("labels is no JSON") });
    expect(found[1]).toHaveProperty("result.endMs", 2);
  });

  it("counts the eligible jobs since a time by their verdict", () => {
    const opened = open();
    recordEnded(opened, 10, { slaEligible: true });
    recordEnded(opened, 20, { slaEligible: true });
    recordEnded(opened, 20);
    const job = someJob({ slaEligible: true });
    opened.ledger.register(job);
    const slaReason = "limit_refused (cpu.max: EACCES)";
    opened.ledger.recordResult(job, someResult(job, { endMs: 30, slaCompliant: false, slaReason }));
    expect(readLedgerFile(opened.path, (db) => new Outbox(db).totals(15))).toEqual({
      jobs: 2,
      compliant: 1,
      violations: { limit_refused: 1 },
    });
  });
});

describe("reading a ledger without the right to write", () => {
  it("creates and changes nothing, and sees what an open log contains", () => {
    const opened = open();
    recordEnded(opened, 1);
    const names = readdirSync(dirname(opened.path)).sort();
    const stamp = stampOfLedger(opened.path);
    expect(numbers(opened)).toHaveLength(1);
    expect(stampOfLedger(opened.path)).toBe(stamp);
    expect(readdirSync(dirname(opened.path)).sort()).toEqual(names);
    expect(() => readLedgerFile(opened.path, (db) => db.run("DELETE FROM events"))).toThrow("readonly");
    recordEnded(opened, 2);
    expect(stampOfLedger(opened.path)).not.toBe(stamp);
  });

  it("reads a file whose log was removed, as after the last ffrtmp", () => {
    const opened = open();
    recordEnded(opened, 1);
    opened.ledger.close();
    compact(locateState(dirname(opened.path), {}));
    const copy = `${dirname(opened.path)}/copy #1?.db`;
    const db = new Database(opened.path);
    db.run(`VACUUM INTO '${copy}'`);
    db.close();
    expect(existsSync(`${copy}-wal`)).toBe(false);
    expect(numbers({ path: copy })).toHaveLength(1);
    expect(existsSync(`${copy}-wal`)).toBe(false);
  });

  it("reads again what was written meanwhile, and gives up on a file that never rests", () => {
    const opened = open();
    recordEnded(opened, 1);
    const copy = `${dirname(opened.path)}/copy.db`;
    const db = new Database(opened.path);
    db.run(`VACUUM INTO '${copy}'`);
    db.close();
    const touch = () => {
      const writer = new Database(copy);
      writer.run("INSERT INTO notes VALUES (?, '')", [Bun.randomUUIDv7()]);
      writer.close();
    };
    let reads = 0;
    const value = readLedgerFile(copy, () => {
      if (reads++ === 0) touch();
      return reads;
    });
    expect(value).toBe(2);
    expect(() => readLedgerFile(copy, touch)).toThrow("was written each time");
  });

  it("refuses a ledger of an earlier release, which has no numbers", () => {
    const opened = open();
    const db = new Database(opened.path);
    db.run("DROP TABLE outbox");
    db.close();
    expect(() => numbers(opened)).toThrow("it has no numbered results");
    expect(() => numbers({ path: `${opened.path}.none` })).toThrow();
  });

  it.skipIf(process.geteuid?.() !== 0)("works for a user of the group alone", async () => {
    const opened = open();
    recordEnded(opened, 1);
    const gid = 54_321;
    const directory = dirname(opened.path);
    for (const path of [directory, ...readdirSync(directory).map((name) => `${directory}/${name}`)])
      chownSync(path, 0, gid);
    chmodSync(dirname(directory), 0o755);
    chmodSync(directory, 0o2750);
    const read = `
      process.setgid(${gid}); process.setgroups([]); process.setuid(65000);
      const { readLedgerFile } = await import("${import.meta.dir}/readOnly.ts");
      const { Outbox } = await import("${import.meta.dir}/outbox.ts");
      console.log(readLedgerFile("${opened.path}", (db) => new Outbox(db).after(0, 10).length));`;
    const run = () => Bun.spawnSync([process.execPath, "-e", read]);
    expect(run().stdout.toString()).toBe("1\n");
    opened.ledger.close();
    const db = new Database(opened.path);
    db.query("PRAGMA wal_checkpoint(TRUNCATE)").all();
    db.close();
    const { stdout, stderr } = run();
    expect([stdout.toString(), stderr.toString()]).toEqual(["1\n", ""]);
  });
});
