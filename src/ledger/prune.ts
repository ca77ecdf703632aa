import type { Database } from "bun:sqlite";
import { lstatSync, truncateSync, unlinkSync } from "node:fs";
import { basename, join } from "node:path";
import type { Host } from "../linux/host.ts";
import { isAlive } from "../linux/proc/identity.ts";
import { describeErrno, errnoOf } from "../sys/errno.ts";
import { isBusy, openFile, waitForLocks } from "./database.ts";
import { DAEMON_KEY } from "./eventRows.ts";
import type { StateFiles } from "./location.ts";
import { returnPagesInSteps } from "./migrations.ts";
import type { Retention } from "./retention.ts";

/** How long one step deletes before its commit, which takes as long again with the write of the log to the file. */
const STEP_MS = 3;
const MAX_JOBS_PER_STEP = 100;
const MAX_EVENTS_AT_ONCE = 200;
/** About 2 MB. A daemon records some for each start, reload and minute with lost events. */
const MAX_DAEMON_EVENTS = 10_000;
const MAX_LOGS_PER_STEP = 200;
const MAX_BYTES_AT_ONCE = 64 * 1024 ** 2;
/** Each page that is returned to the file system costs a move of the last page of the file. */
const MAX_PAGES_PER_STEP = 64;
const OLDEST = { endMs: Number.MIN_SAFE_INTEGER, key: "" };

export interface PruneOptions {
  host: Host;
  state: StateFiles;
  retention: Retention;
  /** The time by which ages are computed. */
  nowMs: number;
  /** Counts the logs of `run --detach` too, which reads the size of each one. */
  countLogs: boolean;
  dryRun?: boolean;
}

export interface Pruned {
  jobs: number;
  /** The end of the newest job that was deleted. */
  newestEndMs: number | null;
  logs: number;
  logBytes: number;
  /** Bytes of the ledger's file that are in use, before and after. */
  usedBytes: { before: number; after: number };
  /** Bytes of the ledger's file that are free for new rows. Only `compact` returns them to the file system. */
  freeBytes: number;
  /** Why logs could not be deleted. Their jobs are kept. */
  faults: string[];
}

/** `busy`: another process is writing, and nothing was done. */
type Step = "done" | "busy";

/** A run of `prune`, which deletes nothing until its next step is taken. */
export type PrunePass = Generator<Step, Pruned>;

interface Candidate {
  key: string;
  end_ms: number;
  ending: string;
  boot_id: string;
  pid: number | null;
  start_ticks: number | null;
  log_path: string | null;
}

/**
 * Deletes the jobs that a retention does not keep, the oldest first, with their results, events and logs. Never deletes
 * a job that is open, not cleaned up, or detached while its process runs. Each step of the iteration takes a few
 * milliseconds and waits for no other process; the caller pauses in between. Throws errors of SQLite.
 */
export function* prune(options: PruneOptions): PrunePass {
  const db = openFile(options.state.ledger);
  try {
    db.run("PRAGMA busy_timeout = 0");
    return yield* new Pruning(db, options).run();
  } finally {
    db.close();
  }
}

/** Closes the file of a pass that is not complete. What is left is for the next pass. */
export function abandon(pass: PrunePass): void {
  pass.return(undefined as never);
}

/** The longest wait for the lock of another ffrtmp before the file is written again. */
const COMPACT_TIMEOUT_MS = 5000;

/**
 * Writes the ledger's file again without free pages, and lets later pruning return pages in small steps. Other processes
 * cannot write to the ledger meanwhile: 10 ms for each MiB in use.
 */
export function compact({ ledger }: StateFiles): void {
  const db = openFile(ledger);
  try {
    waitForLocks(db, COMPACT_TIMEOUT_MS);
    returnPagesInSteps(db);
    db.run("VACUUM");
    db.query("PRAGMA wal_checkpoint(TRUNCATE)").all();
  } finally {
    db.close();
  }
}

class Pruning {
  readonly #db: Database;
  readonly #options: PruneOptions;
  readonly #pruned: Pruned;
  /** The average size of a job, from which a dry run estimates. */
  readonly #bytesPerJob: number;
  #logBytesLeft = 0;

  constructor(db: Database, options: PruneOptions) {
    this.#db = db;
    this.#options = options;
    const before = this.#usedPages();
    const usedBytes = { before, after: before };
    this.#pruned = { jobs: 0, newestEndMs: null, logs: 0, logBytes: 0, usedBytes, freeBytes: 0, faults: [] };
    this.#bytesPerJob = options.dryRun
      ? before / Math.max(1, this.#number("SELECT count(*) FROM results"))
      : 0;
  }

  *run(): Generator<Step, Pruned> {
    const { dryRun = false, countLogs } = this.#options;
    if (countLogs) yield* this.#measureLogs();
    for (let last = OLDEST; ; ) {
      const found = this.#candidates(last);
      const end = found.at(-1);
      if (end === undefined) break;
      last = { endMs: end.end_ms, key: end.key };
      const deletable = yield* this.#deleteLogs(found.filter((job) => !this.#isDetachedAndAlive(job)));
      if (!dryRun) yield* this.#delete(deletable);
      else {
        this.#pruned.jobs += deletable.length;
        this.#pruned.newestEndMs = deletable.at(-1)?.end_ms ?? this.#pruned.newestEndMs;
      }
      yield "done";
    }
    if (!dryRun) {
      yield* this.#deleteDaemonEvents();
      yield* this.#returnPages();
    }
    this.#pruned.usedBytes.after = this.#usedBytes();
    this.#pruned.freeBytes = this.#number("PRAGMA freelist_count") * this.#number("PRAGMA page_size");
    return this.#pruned;
  }

  *#measureLogs(): Generator<Step, void> {
    const openLogs = new Set(
      this.#db.query("SELECT log_path FROM jobs WHERE state <> 'ended'").values().flat(),
    );
    const sql = "SELECT log_path FROM jobs WHERE log_path > $after ORDER BY log_path LIMIT $limit";
    const query = this.#db.query<{ log_path: string }, { after: string; limit: number }>(sql);
    for (let after: string | undefined = ""; after !== undefined; ) {
      const paths: string[] = query.all({ after, limit: MAX_LOGS_PER_STEP }).map((row) => row.log_path);
      for (const path of paths) {
        // The log of an open job grows, whatever is deleted.
        if (!openLogs.has(path)) this.#logBytesLeft += sizeOf(this.#logFile(path));
      }
      after = paths.at(-1);
      yield "done";
    }
  }

  /** Returns the next jobs that retention does not keep, from the oldest. */
  #candidates(last: typeof OLDEST): Candidate[] {
    const { nowMs, retention } = this.#options;
    const isTooMuch = this.#usedBytes() + this.#logBytesLeft > retention.maxBytes;
    const before = isTooMuch ? Number.MAX_SAFE_INTEGER : nowMs - retention.maxAgeMs;
    // CROSS JOIN keeps this order of the tables: through the index of results, and by key from there.
    const sql = `SELECT jobs.key, end_ms, ending, boot_id, pid, start_ticks, log_path
      FROM results CROSS JOIN jobs USING (key)
      WHERE end_ms >= $endMs AND (end_ms, key) > ($endMs, $key) AND end_ms < $before
        AND state = 'ended' AND released = 1
      ORDER BY end_ms, key LIMIT $limit`;
    const parameters = { ...last, before, limit: MAX_JOBS_PER_STEP };
    return this.#db.query<Candidate, typeof parameters>(sql).all(parameters);
  }

  /** The record of a detached job keeps `watch` from governing its process again. */
  #isDetachedAndAlive({ ending, boot_id: bootId, pid, start_ticks: startTicks }: Candidate): boolean {
    if (ending !== "detached" || pid === null || startTicks === null) return false;
    return isAlive(this.#options.host, { bootId, pid, startTicks });
  }

  /** Deletes the logs first: with a job, the path of its log would be lost. Returns the jobs without a log now. */
  *#deleteLogs(jobs: Candidate[]): Generator<Step, Candidate[]> {
    const withoutLog: Candidate[] = [];
    for (const job of jobs) {
      if (job.log_path === null || (yield* this.#deleteLog(this.#logFile(job.log_path))))
        withoutLog.push(job);
    }
    return withoutLog;
  }

  /** Returns false if the file is still there. */
  *#deleteLog(file: string): Generator<Step, boolean> {
    const size = sizeOf(file);
    try {
      if (!this.#options.dryRun) {
        // ext4 takes 250 ms to unlink a file of 3 GB at once.
        for (let left = size - MAX_BYTES_AT_ONCE; left > 0; left -= MAX_BYTES_AT_ONCE) {
          truncateSync(file, left);
          yield "done";
        }
        unlinkSync(file);
      }
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return true;
      this.#pruned.faults.push(`cannot delete ${file}: ${describeErrno(error)}`);
      return false;
    }
    this.#logBytesLeft -= size;
    this.#pruned.logs++;
    this.#pruned.logBytes += size;
    return true;
  }

  /** Finds a log in the state directory, which may have been moved. No other file is ever deleted. */
  #logFile(path: string): string {
    return join(this.#options.state.logs, basename(path));
  }

  *#delete(jobs: Candidate[]): Generator<Step, void> {
    for (let next = 0; next < jobs.length; ) {
      const count = this.#transaction(() => this.#deleteForAMoment(jobs.slice(next)));
      if (count !== "busy") next += count;
      if (next < jobs.length) yield count === "busy" ? "busy" : "done";
    }
  }

  /** Returns how many of the jobs are done. Call it in a transaction, which it keeps short. */
  #deleteForAMoment(jobs: Candidate[]): number {
    const sql = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE key = ? LIMIT ?)";
    const deleteEvents = this.#db.query<unknown, [string, number]>(sql);
    // Another process may have deleted it meanwhile.
    const deleteJob = this.#db.query<unknown, [string]>(
      "INSERT INTO pruning SELECT key FROM jobs WHERE key = ? AND state = 'ended' AND released = 1",
    );
    const start = performance.now();
    let done = 0;
    while (done < jobs.length && performance.now() - start <= STEP_MS) {
      const { key, end_ms: endMs } = jobs[done] as Candidate;
      // A job that was governed for years can have a hundred thousand.
      if (deleteEvents.run(key, MAX_EVENTS_AT_ONCE).changes >= MAX_EVENTS_AT_ONCE) continue;
      if (deleteJob.run(key).changes > 0) {
        this.#pruned.jobs++;
        this.#pruned.newestEndMs = endMs;
      }
      done++;
    }
    return done;
  }

  /** Deletes the events of daemons that retention does not keep, and the oldest where there are too many. */
  *#deleteDaemonEvents(): Generator<Step, void> {
    const { nowMs, retention } = this.#options;
    const events = `SELECT id, at_ms FROM events WHERE key = '${DAEMON_KEY}' ORDER BY id`;
    const surplus = this.#db.query<{ id: number }, []>(`${events} DESC LIMIT 1 OFFSET ${MAX_DAEMON_EVENTS}`);
    const last = surplus.get()?.id ?? 0;
    const oldest = this.#db.query<{ id: number; at_ms: number }, []>(`${events} LIMIT ${MAX_EVENTS_AT_ONCE}`);
    const deleteUntil = this.#db.query<unknown, [number]>(
      `DELETE FROM events WHERE key = '${DAEMON_KEY}' AND id <= ?`,
    );
    for (;;) {
      const found = oldest.all();
      const kept = found.findIndex(({ id, at_ms: atMs }) => id > last && atMs >= nowMs - retention.maxAgeMs);
      const old = kept < 0 ? found : found.slice(0, kept);
      const end = old.at(-1)?.id;
      if (end === undefined) return;
      yield this.#transaction(() => deleteUntil.run(end)) === "busy" ? "busy" : "done";
    }
  }

  *#returnPages(): Generator<Step, void> {
    // A file that an earlier version created has no such pages until it is compacted.
    const INCREMENTAL = 2;
    if (this.#number("PRAGMA auto_vacuum") !== INCREMENTAL) return;
    const sql = `PRAGMA incremental_vacuum(${MAX_PAGES_PER_STEP})`;
    while (this.#number("PRAGMA freelist_count") > 0) {
      yield this.#unlessBusy(() => this.#db.query(sql).all()) === "busy" ? "busy" : "done";
    }
  }

  #transaction<T>(action: () => T): T | "busy" {
    return this.#unlessBusy(() => this.#db.transaction(action).immediate());
  }

  #unlessBusy<T>(action: () => T): T | "busy" {
    try {
      return action();
    } catch (error) {
      if (isBusy(error)) return "busy";
      throw error;
    }
  }

  /** Returns the bytes of the ledger that are in use; in a dry run, that would be. */
  #usedBytes(): number {
    if (!this.#options.dryRun) return this.#usedPages();
    const { jobs, usedBytes } = this.#pruned;
    return Math.round(usedBytes.before - jobs * this.#bytesPerJob);
  }

  #usedPages(): number {
    const pages = this.#number("PRAGMA page_count") - this.#number("PRAGMA freelist_count");
    return pages * this.#number("PRAGMA page_size");
  }

  #number(sql: string): number {
    return Number(this.#db.query(sql).values()[0]?.[0]);
  }
}

/** Returns the size of a regular file; 0 for anything else. */
function sizeOf(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : 0;
}
