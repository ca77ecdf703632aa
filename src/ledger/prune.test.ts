import { Database } from "bun:sqlite";
import { afterEach, describe, expect, it, spyOn } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { someJob, someProcess, someResult } from "../../test/support/jobs.ts";
import { type Opened, useLedgers } from "../../test/support/ledgers.ts";
import type { Ending } from "../jobs/model/ending.ts";
import { type EndedJob, toEnded } from "../jobs/model/job.ts";
import { realHost } from "../linux/host.ts";
import { readIdentity } from "../linux/proc/identity.ts";
import { openMemory } from "./database.ts";
import { locateState } from "./location.ts";
import { abandon, compact, type Pruned, type PruneOptions, prune } from "./prune.ts";
import { DEFAULT_RETENTION, type Retention } from "./retention.ts";

const { open } = useLedgers();
const host = realHost();
const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const KEEP_ALL: Retention = { maxAgeMs: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY };

let others: Database[] = [];
afterEach(() => {
  for (const db of others) db.close();
  others = [];
});

/** Opens the file as another program does. */
function connect({ path }: Opened): Database {
  const db = new Database(path);
  others.push(db);
  return db;
}

function optionsOf({ path }: Opened, retention: Partial<Retention>, more: Partial<PruneOptions> = {}) {
  const state = locateState(dirname(path), {});
  return { host, state, retention: { ...KEEP_ALL, ...retention }, nowMs: NOW, countLogs: true, ...more };
}

function pruneAll(opened: Opened, retention: Partial<Retention>, more: Partial<PruneOptions> = {}): Pruned {
  const pass = prune(optionsOf(opened, retention, more));
  for (;;) {
    const step = pass.next();
    if (step.done) return step.value;
    if (step.value === "busy") throw new Error("no other process uses this ledger");
  }
}

let pids = 5_000_000;

/** Records a job that ended some days ago, with its result, an event and, if asked for, a log. */
function recordEnded(
  { ledger, path }: Opened,
  ageDays: number,
  more: { ending?: Ending; logBytes?: number; cleanedUp?: boolean; process?: EndedJob["process"] } = {},
): EndedJob {
  pids += 1;
  const jobId = `job-${pids}`;
  const logPath = more.logBytes === undefined ? null : join(dirname(path), "logs", `${jobId}.log`);
  const job = someJob({ jobId, process: more.process ?? someProcess({ pid: pids }), logPath });
  ledger.register(job);
  ledger.addEvent(job, { atMs: 1, kind: "observer_died", detail: {} });
  const { ending = { kind: "exited", code: 0, evidence: "parent" } } = more;
  ledger.recordResult(job, someResult(job, { ending, endMs: NOW - ageDays * DAY_MS }));
  if (more.cleanedUp !== false) ledger.markCleanedUp(toEnded(job));
  if (logPath !== null) {
    mkdirSync(dirname(logPath), { recursive: true });
    writeFileSync(logPath, Buffer.alloc(more.logBytes ?? 0));
  }
  return toEnded(job);
}

function keptIds({ ledger }: Opened): string[] {
  return ledger.history(1000).map(({ job }) => job.jobId);
}

describe("pruning by age", () => {
  it("deletes what is older, with results, events and logs, and nothing else", () => {
    const opened = open();
    const old = recordEnded(opened, 91, { logBytes: 10 });
    const recent = recordEnded(opened, 89, { logBytes: 20 });
    for (const job of [old, recent]) opened.ledger.recordUsageHistory(job, new Uint8Array([1]));
    const pruned = pruneAll(opened, { maxAgeMs: 90 * DAY_MS });
    expect(pruned).toMatchObject({
      jobs: 1,
      logs: 1,
      logBytes: 10,
      newestEndMs: NOW - 91 * DAY_MS,
      faults: [],
    });
    expect(keptIds(opened)).toEqual([recent.jobId]);
    expect(existsSync(String(old.logPath))).toBe(false);
    expect(existsSync(String(recent.logPath))).toBe(true);
    const db = connect(opened);
    for (const table of ["jobs", "results", "events", "usage_histories"])
      expect(db.query(`SELECT DISTINCT key FROM ${table}`).values()).toEqual([[recent.key]]);
    expect(db.query("SELECT * FROM pruning").all()).toEqual([]);
    expect(db.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  });

  it("never deletes a job that is open, or that is not cleaned up", () => {
    const opened = open();
    const running = someJob({ jobId: "running", createdMs: 1, startedMs: 1 });
    opened.ledger.register(running);
    const left = recordEnded(opened, 1000, { cleanedUp: false, logBytes: 10 });
    expect(pruneAll(opened, { maxAgeMs: 0, maxBytes: 0 })).toMatchObject({ jobs: 0, logs: 0 });
    expect(opened.ledger.job(running.key)).toEqual(running);
    expect(opened.ledger.result(left)).toBeDefined();
    expect(existsSync(String(left.logPath))).toBe(true);
  });

  it("keeps a detached job while its process runs: watch must not govern that process again", () => {
    const opened = open();
    const own = readIdentity(host, process.pid);
    if (own === "gone") throw new Error("this process runs");
    const detached = recordEnded(opened, 1000, { ending: { kind: "detached" }, process: own });
    recordEnded(opened, 1000, { ending: { kind: "detached" } });
    expect(pruneAll(opened, { maxAgeMs: 0, maxBytes: 0 })).toMatchObject({ jobs: 1 });
    expect(keptIds(opened)).toEqual([detached.jobId]);
    expect(opened.ledger.wasDetached(own)).toBe(true);
  });

  it("keeps everything without limits, and 90 days and 1 GiB by default", () => {
    const opened = open();
    for (const age of [10_000, 91, 89]) recordEnded(opened, age);
    expect(pruneAll(opened, {})).toMatchObject({ jobs: 0 });
    expect(DEFAULT_RETENTION.maxBytes).toBe(1024 ** 3);
    expect(pruneAll(opened, DEFAULT_RETENTION)).toMatchObject({ jobs: 2 });
  });

  it("keeps a job whose log cannot be deleted, and says why", () => {
    const opened = open();
    const job = recordEnded(opened, 100, { logBytes: 5 });
    const pass = () => pruneAll(opened, { maxAgeMs: 0 });
    // A directory in place of the log: unlink(2) fails for root too.
    const path = String(job.logPath);
    Bun.spawnSync(["sh", "-c", `rm "${path}"; mkdir "${path}"`]);
    const { jobs, faults } = pass();
    expect({ jobs, faults }).toEqual({
      jobs: 0,
      faults: [expect.stringContaining(`cannot delete ${path}: `)],
    });
    expect(keptIds(opened)).toEqual([job.jobId]);
    Bun.spawnSync(["rmdir", path]);
    expect(pass()).toMatchObject({ jobs: 1, logs: 0 });
  });

  it("deletes no file outside of the state directory, whatever the ledger names", () => {
    const opened = open();
    const outside = join(opened.directory, "outside");
    writeFileSync(outside, "x");
    const job = recordEnded(opened, 100);
    connect(opened).run("UPDATE jobs SET log_path = ? WHERE key = ?", [outside, job.key]);
    expect(pruneAll(opened, { maxAgeMs: 0 })).toMatchObject({ jobs: 1, logs: 0 });
    expect(existsSync(outside)).toBe(true);
  });
});

describe("pruning by size", () => {
  it("deletes the oldest jobs until ledger and logs fit", () => {
    const opened = open();
    const jobs = Array.from({ length: 700 }, (_, index) => recordEnded(opened, 700 - index));
    const before = pruneAll(opened, {}, { dryRun: true }).usedBytes.before;
    const maxBytes = Math.round(before * 0.6);
    const pruned = pruneAll(opened, { maxBytes });
    expect(pruned.usedBytes.after).toBeLessThanOrEqual(maxBytes);
    expect(pruned.jobs).toBeGreaterThan(100);
    expect(pruned.jobs).toBeLessThan(500);
    expect(keptIds(opened)).toEqual(
      jobs
        .slice(pruned.jobs)
        .map(({ jobId }) => jobId)
        .reverse(),
    );
  });

  it("counts the logs of ended jobs, and not those of open ones", () => {
    const opened = open();
    const MIB = 1024 ** 2;
    const path = join(dirname(opened.path), "logs", "open.log");
    opened.ledger.register(someJob({ logPath: path }));
    const [oldest, newest] = [
      recordEnded(opened, 3, { logBytes: 6 * MIB }),
      recordEnded(opened, 1, { logBytes: MIB }),
    ];
    writeFileSync(path, Buffer.alloc(20 * MIB));
    expect(pruneAll(opened, { maxBytes: 8 * MIB })).toMatchObject({ jobs: 0 });
    expect(existsSync(String(oldest.logPath))).toBe(true);
    expect(pruneAll(opened, { maxBytes: 5 * MIB }).logs).toBeGreaterThan(0);
    expect(existsSync(String(oldest.logPath))).toBe(false);
    expect(existsSync(path)).toBe(true);
    expect(keptIds(opened)).not.toContain(oldest.jobId);
    expect(newest.jobId).toBeDefined();
  });

  it("returns the pages to the file system", () => {
    const opened = open();
    for (let age = 800; age > 0; age--) recordEnded(opened, age);
    const db = connect(opened);
    db.query("PRAGMA wal_checkpoint(TRUNCATE)").all();
    const before = statSync(opened.path).size;
    expect(pruneAll(opened, { maxAgeMs: 10 * DAY_MS })).toMatchObject({ freeBytes: 0 });
    db.query("PRAGMA wal_checkpoint(TRUNCATE)").all();
    expect(statSync(opened.path).size).toBeLessThan(before / 2);
  });

  it("can return pages of each new ledger, however its file is created", () => {
    const modeOf = (db: Database) => db.query("PRAGMA auto_vacuum").values();
    const memory = openMemory();
    const copy = Database.deserialize(memory.serialize());
    others.push(memory, copy);
    const INCREMENTAL = [[2]];
    expect([connect(open()), memory, copy].map(modeOf)).toEqual([INCREMENTAL, INCREMENTAL, INCREMENTAL]);
  });

  it("returns the pages of a file from before there was pruning only when it is compacted", () => {
    const opened = open();
    const db = connect(opened);
    db.run("PRAGMA auto_vacuum = NONE");
    db.run("VACUUM");
    for (let age = 800; age > 0; age--) recordEnded(opened, age);
    expect(pruneAll(opened, { maxAgeMs: 0 }).freeBytes).toBeGreaterThan(100_000);
    compact(locateState(dirname(opened.path), {}));
    expect(pruneAll(opened, { maxAgeMs: 0 }).freeBytes).toBe(0);
    expect(statSync(opened.path).size).toBeLessThan(200_000);
    recordEnded(opened, 1);
    expect(keptIds(opened)).toHaveLength(1);
  });
});

describe("a large log", () => {
  it("is deleted in parts, and what a link points to is not touched", () => {
    const opened = open();
    const large = recordEnded(opened, 2, { logBytes: 1 });
    truncateSync(String(large.logPath), 1024 ** 3);
    const linked = recordEnded(opened, 1, { logBytes: 1 });
    const outside = join(opened.directory, "outside");
    writeFileSync(outside, "x");
    truncateSync(outside, 1024 ** 3);
    rmSync(String(linked.logPath));
    symlinkSync(outside, String(linked.logPath));
    const pass = prune(optionsOf(opened, { maxAgeMs: 0 }, { countLogs: false }));
    const sizes: number[] = [];
    while (!pass.next().done) {
      if (existsSync(String(large.logPath))) sizes.push(statSync(String(large.logPath)).size);
    }
    expect(sizes.length).toBeGreaterThan(10);
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    expect(keptIds(opened)).toEqual([]);
    expect(readdirSync(dirname(String(large.logPath)))).toEqual([]);
    expect(statSync(outside).size).toBe(1024 ** 3);
  });
});

describe("a dry run", () => {
  it("counts and changes nothing", () => {
    const opened = open();
    recordEnded(opened, 100, { logBytes: 7 });
    recordEnded(opened, 1);
    const pruned = pruneAll(opened, { maxAgeMs: 90 * DAY_MS }, { dryRun: true });
    expect(pruned).toMatchObject({ jobs: 1, logs: 1, logBytes: 7 });
    expect(keptIds(opened)).toHaveLength(2);
    expect(readdirSync(join(dirname(opened.path), "logs"))).toHaveLength(1);
  });

  it("estimates how many jobs a size requires", () => {
    const opened = open();
    for (let age = 800; age > 0; age--) recordEnded(opened, age);
    const { usedBytes } = pruneAll(opened, {}, { dryRun: true });
    const { jobs } = pruneAll(opened, { maxBytes: usedBytes.before / 2 }, { dryRun: true });
    expect(jobs).toBeGreaterThanOrEqual(400);
    expect(jobs).toBeLessThanOrEqual(500);
  });
});

describe("a pass", () => {
  it("waits for no other process, and continues when that one has written", () => {
    const opened = open();
    recordEnded(opened, 100);
    const other = connect(opened);
    other.run("BEGIN IMMEDIATE");
    const pass = prune(optionsOf(opened, { maxAgeMs: 0 }, { countLogs: false }));
    expect(pass.next()).toEqual({ done: false, value: "busy" });
    expect(pass.next()).toEqual({ done: false, value: "busy" });
    expect(keptIds(opened)).toHaveLength(1);
    other.run("COMMIT");
    while (!pass.next().done);
    expect(keptIds(opened)).toEqual([]);
  });

  it("deletes in small transactions, between which others write", () => {
    const opened = open();
    for (let age = 450; age > 0; age--) recordEnded(opened, age);
    const other = connect(opened);
    other.run("PRAGMA busy_timeout = 0");
    const pass = prune(optionsOf(opened, { maxAgeMs: 0 }));
    let steps = 0;
    for (; !pass.next().done; steps++) other.run("UPDATE notes SET value = 'x'");
    expect(steps).toBeGreaterThan(4);
    expect(keptIds(opened)).toEqual([]);
  });

  it("deletes only as many jobs in one transaction as take a few milliseconds", () => {
    const opened = open();
    for (let age = 20; age > 0; age--) recordEnded(opened, age);
    const pass = prune(optionsOf(opened, { maxAgeMs: 0 }, { countLogs: false }));
    let nowMs = 0;
    const clock = spyOn(performance, "now").mockImplementation(() => {
      nowMs += 2;
      return nowMs;
    });
    try {
      pass.next();
    } finally {
      clock.mockRestore();
    }
    expect(keptIds(opened)).toHaveLength(19);
    abandon(pass);
  });

  it("continues when another one deletes the same jobs", () => {
    const opened = open();
    for (let age = 250; age > 0; age--) recordEnded(opened, age);
    const passes = [0, 1].map(() => prune(optionsOf(opened, { maxAgeMs: 0 }, { countLogs: false })));
    const deleted = [0, 0];
    for (let running = 2; running > 0; ) {
      running = 0;
      for (const [index, pass] of passes.entries()) {
        const step = pass.next();
        if (!step.done) running++;
        else if (step.value) deleted[index] = step.value.jobs;
      }
    }
    expect(keptIds(opened)).toEqual([]);
    expect(deleted[0]).toBeGreaterThan(0);
    expect((deleted[0] ?? 0) + (deleted[1] ?? 0)).toBe(250);
  });

  it("deletes a job with thousands of events", () => {
    const opened = open();
    const job = recordEnded(opened, 1);
    const db = connect(opened);
    const numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)";
    db.run(`${numbers} INSERT INTO events (key, at_ms, kind, detail) SELECT ?, i, 'adopted', '{}' FROM n`, [
      job.key,
    ]);
    expect(pruneAll(opened, { maxAgeMs: 0 })).toMatchObject({ jobs: 1 });
    expect(db.query("SELECT count(*) FROM events").values()).toEqual([[0]]);
  });

  it("that is abandoned leaves whole jobs only", () => {
    const opened = open();
    for (let age = 450; age > 0; age--) recordEnded(opened, age);
    const pass = prune(optionsOf(opened, { maxAgeMs: 0 }));
    for (let step = 0; step < 3; step++) pass.next();
    abandon(pass);
    const count = (table: string) =>
      connect(opened).query(`SELECT count(DISTINCT key) FROM ${table}`).values()[0]?.[0];
    expect(count("jobs")).toBeLessThan(450);
    expect([count("results"), count("events")]).toEqual([count("jobs"), count("jobs")]);
    pruneAll(opened, { maxAgeMs: 0 });
    expect(count("jobs")).toBe(0);
  });

  it("reads no table as a whole", () => {
    const opened = open();
    recordEnded(opened, 1, { logBytes: 1 });
    const query = spyOn(Database.prototype, "query");
    pruneAll(opened, { maxAgeMs: 0, maxBytes: 0 });
    const statements = query.mock.calls.map(([sql]) => sql).filter((sql) => !sql.startsWith("PRAGMA"));
    query.mockRestore();
    const db = connect(opened);
    const steps = statements.flatMap((sql) =>
      db
        .query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${sql}`)
        .all()
        .map(({ detail }) => detail),
    );
    expect(steps.length).toBeGreaterThan(3);
    expect(steps.filter((step) => step.startsWith("SCAN ") && !step.includes("jobs_open_"))).toEqual([]);
  });
});

describe("events of daemons", () => {
  const atMs = (opened: Opened): unknown[] =>
    connect(opened).query("SELECT at_ms FROM events WHERE key = '' ORDER BY id").values().flat();

  it("are deleted by age, and those of jobs are not", () => {
    const opened = open();
    for (const age of [100, 91, 89, 1])
      opened.ledger.addDaemonEvent("daemon_started", {}, NOW - age * DAY_MS);
    const job = someJob();
    opened.ledger.register(job);
    opened.ledger.addEvent(job, { atMs: 1, kind: "observer_died", detail: {} });
    pruneAll(opened, { maxAgeMs: 90 * DAY_MS }, { dryRun: true });
    expect(atMs(opened)).toHaveLength(4);
    pruneAll(opened, { maxAgeMs: 90 * DAY_MS });
    expect(atMs(opened)).toEqual([NOW - 89 * DAY_MS, NOW - DAY_MS]);
    expect(opened.ledger.events(job)).toHaveLength(1);
  });

  it("are deleted from the oldest on where there are more than ten thousand", () => {
    const opened = open();
    const db = connect(opened);
    const insert = db.query(
      "INSERT INTO events (key, at_ms, kind, detail) VALUES ('', ?, 'events_lost', '{}')",
    );
    db.transaction(() => {
      for (let n = 1; n <= 10_450; n++) insert.run(n);
    })();
    pruneAll(opened, {});
    const left = atMs(opened);
    expect({ count: left.length, first: left[0], last: left.at(-1) }).toEqual({
      count: 10_000,
      first: 451,
      last: 10_450,
    });
  });
});

describe("history that retention has not chosen", () => {
  it("cannot be deleted or changed, by any statement", () => {
    const opened = open();
    const ended = recordEnded(opened, 1000);
    const left = recordEnded(opened, 1000, { cleanedUp: false });
    const running = someJob();
    opened.ledger.register(running);
    const db = connect(opened);
    expect(() => db.run("DELETE FROM results")).toThrow("a result is never deleted, except by ffrtmp prune");
    expect(() => db.run("DELETE FROM jobs")).toThrow("a job is never deleted, except by ffrtmp prune");
    expect(() => db.run("UPDATE results SET exit_code = 1")).toThrow("a result is never changed");
    for (const { key } of [left, running])
      expect(() => db.run("INSERT INTO pruning VALUES (?)", [key])).toThrow("is never deleted");
    expect(() => db.run("INSERT INTO pruning VALUES ('unknown')")).toThrow("is never deleted");
    db.run("INSERT INTO pruning VALUES (?)", [ended.key]);
    expect(() => db.run("DELETE FROM results")).toThrow("a result is never deleted");
    expect(keptIds(opened)).toEqual([left.jobId]);
  });
});
