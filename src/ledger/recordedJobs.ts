import type { JobResult } from "../jobs/model/ending.ts";
import { type EndedJob, isOpen, type Job, type OpenJob, type StartingJob } from "../jobs/model/job.ts";
import type { RecordedEvent } from "../jobs/model/jobEvent.ts";
import { INTENTS } from "../limits/intents.ts";
import { changeKey, isShared } from "../linux/change.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import type { Row } from "./database.ts";
import { endedJobs, type HistoryFilter } from "./endedJobs.ts";
import { EVENT_COLUMNS, rowToEvent } from "./eventRows.ts";
import { InconsistentRow, rowToChanges, rowToJob, rowToResult } from "./rows.ts";
import { LedgerStore } from "./store.ts";

const HAS_GATE = `changes LIKE '%"isGate"%'`;
const IS_IN_PLACE = `cgroup LIKE '%"placedAs":"in-place"%'`;
const IS_GOVERNED = `outcomes LIKE '%"of":"governor"%'`;

/**
 * Sorts by key, which is the order of creation. Without the plus sign SQLite reads all jobs ever recorded through the
 * primary key to save the sort, instead of the few in a partial index. Source: https://sqlite.org/optoverview.html, 2.
 */
const BY_KEY = "ORDER BY +key";
/** An id can be used a hundred thousand times, and operators ask for the last few. */
const MAX_NAMED = 100;

/** The verdict about the platform's part in a job that has ended. */
export interface Verdict {
  readonly tenant: string | null;
  readonly isEligible: boolean;
  readonly isCompliant: boolean;
  readonly reason: string;
}

export type JobKey = Pick<Job, "key">;

/** Reads the jobs, results and events of a ledger. Leaves out inconsistent rows, and reports each of them once. */
export abstract class RecordedJobs extends LedgerStore {
  /** Messages about inconsistent rows that were reported. */
  readonly #reported = new Set<string>();
  #faultOf: (job: Job) => string | undefined = () => undefined;
  /** The open jobs as `openJobs` read them last, with their rows. */
  #openJobs: ReadonlyMap<Row[string], { row: Row; job: Job }> = new Map();

  /** Leaves out, as inconsistent, each job with something left to undo for which `faultOf` returns a reason. */
  checkJobs(faultOf: (job: Job) => string | undefined): void {
    this.#faultOf = faultOf;
    this.#openJobs = new Map();
  }

  /** Returns the keys of the changes that jobs share, of those that are not cleaned up, leaving out one of them. */
  sharedChanges({ except = "" } = {}): ReadonlySet<string> {
    const sql = `SELECT key, changes FROM jobs
      WHERE released = 0 AND key <> $except
      AND (changes LIKE '%controller-enabled%' OR ${HAS_GATE})`;
    const changes = this.#consistent(this.rows(sql, { except }), rowToChanges).flat();
    return new Set(changes.filter(isShared).map(changeKey));
  }

  job(key: string): Job | undefined {
    return this.#jobs("key = $key", { key })[0];
  }

  /**
   * Returns the open jobs with one of the intents that stand for limits, or with a gate or a quota of the governor from when
   * they had one.
   */
  openJobsWithIntent(): OpenJob[] {
    const words = INTENTS.map((intent) => `'${intent}'`).join();
    return this.#jobs(
      `state <> 'ended' AND (intent IN (${words}) OR ${HAS_GATE} OR ${IS_GOVERNED}) ${BY_KEY}`,
    )
      .filter(isOpen)
      .sort(byKey);
  }

  /** Returns the open jobs that govern the cgroup of their owner. Others are not read: each process that is judged asks. */
  openJobsInPlace(): OpenJob[] {
    return this.#jobs(`state <> 'ended' AND ${IS_IN_PLACE} ${BY_KEY}`).filter(isOpen).sort(byKey);
  }

  /**
   * Returns the open jobs. A job whose row is as it was at the last call is the same object: `watch` asks several times in 5 s, and
   * parsing takes longer than reading and comparing.
   */
  openJobs(): OpenJob[] {
    const earlier = this.#openJobs;
    const read = new Map<Row[string], { row: Row; job: Job }>();
    const rows = this.rows(`SELECT * FROM jobs WHERE state <> 'ended' ${BY_KEY}`, {});
    const jobs = this.#consistent(rows, (row) => {
      const { key = null } = row;
      const known = earlier.get(key);
      const job = known !== undefined && isSameRow(known.row, row) ? known.job : this.#toJob(row);
      read.set(key, { row, job });
      return job;
    });
    this.#openJobs = read;
    return jobs.filter(isOpen).sort(byKey);
  }

  /** Returns the jobs that may have left something in the system, the open ones among them. */
  jobsToCleanUp(): Job[] {
    return this.#jobs(`released = 0 ${BY_KEY}`);
  }

  endedJobsToCleanUp(): EndedJob[] {
    const where = `released = 0 AND state = 'ended' ${BY_KEY}`;
    return this.#jobs(where).filter((job) => job.state === "ended");
  }

  /** Returns the open job that has an id, and the latest ones that had it, the latest first. */
  jobsNamed(jobId: string): Job[] {
    const latest = "ORDER BY created_ms DESC, key DESC";
    // A job can be open and not the latest: the clock was set back meanwhile.
    const where = `key IN (
      SELECT key FROM jobs WHERE job_id = $jobId AND state <> 'ended'
      UNION SELECT key FROM (SELECT key FROM jobs WHERE job_id = $jobId ${latest} LIMIT ${MAX_NAMED}))`;
    const jobs = this.#jobs(`${where} ${latest}`, { jobId });
    return jobs.sort((a, b) => b.createdMs - a.createdMs || byKey(b, a));
  }

  openJobOfProcess({ bootId, pid, startTicks }: ProcessIdentity): OpenJob | undefined {
    const where = "state <> 'ended' AND boot_id = $bootId AND pid = $pid AND start_ticks = $startTicks";
    return this.#jobs(where, { bootId, pid, startTicks }).find(isOpen);
  }

  /** Returns the job whose workload this ffrtmp is starting, without a recorded pid yet. */
  jobBeingStartedBy(bootId: string, launcherPid: number): StartingJob | undefined {
    // Names the condition of the partial indexes, which SQLite does not deduce from the other one.
    const where = `state <> 'ended' AND state = 'starting' AND mode = 'run'
      AND boot_id = $bootId AND observer_pid = $launcherPid`;
    return this.#jobs(where, { bootId, launcherPid }).find((job) => job.state === "starting");
  }

  isObserver({ bootId, pid, startTicks }: ProcessIdentity): boolean {
    const where =
      "state <> 'ended' AND boot_id = $bootId AND observer_pid = $pid AND observer_start_ticks = $startTicks";
    return this.#jobs(where, { bootId, pid, startTicks }).length > 0;
  }

  result({ key }: JobKey): JobResult | undefined {
    return this.#results("key = $key", { key })[0];
  }

  /** Returns the latest ended jobs that pass the filter, with their results, the latest first. */
  history(limit: number, filter: HistoryFilter = {}): { job: EndedJob; result: JobResult }[] {
    const { from, parameters } = endedJobs(filter);
    const latest = `key IN (SELECT key FROM ${from} ORDER BY end_ms DESC, key DESC LIMIT $limit)`;
    const jobs = this.#jobs(latest, { ...parameters, limit }).filter((job) => job.state === "ended");
    const byKey = new Map(jobs.map((job) => [job.key, job]));
    const results = this.#results(latest, { ...parameters, limit });
    // While changes wait, they are read beside the file.
    results.sort((a, b) => b.endMs - a.endMs || (a.key < b.key ? 1 : -1));
    return results.slice(0, limit).flatMap((result) => {
      const job = byKey.get(result.key);
      return job ? [{ job, result }] : [];
    });
  }

  /** Returns how many ended jobs pass the filter and have an exit that is unknown, those that were detached left out. */
  countUnknownExits(filter: HistoryFilter): number {
    const { from, parameters } = endedJobs(filter);
    const unknown = `exit_code IS NOT 0 AND exit_evidence IS NULL AND ending IN ('exited', 'unobserved')`;
    return this.rows(`SELECT key FROM ${from} AND ${unknown}`, parameters).length;
  }

  /** Returns the verdicts about the ended jobs that pass the filter. */
  verdicts(filter: HistoryFilter): Verdict[] {
    const { from, parameters } = endedJobs(filter, "with their jobs");
    // One row for each job, because rows of the overlay and of the file are distinguished by their key.
    const columns = "key, tenant, sla_eligible, sla_compliant, sla_reason";
    return this.rows(`SELECT ${columns} FROM ${from}`, parameters).map((row) => ({
      tenant: row["tenant"] as string | null,
      isEligible: row["sla_eligible"] === 1,
      isCompliant: row["sla_compliant"] === 1,
      reason: String(row["sla_reason"]),
    }));
  }

  /** Returns the number of jobs that have ended, or `max` for more than that: a whole history is long to count. */
  countEnded(max: number): number {
    // While changes wait, they are counted beside the file.
    const latest = "SELECT 1 FROM results ORDER BY end_ms DESC, key DESC LIMIT $max";
    const counts = this.rows(`SELECT count(*) AS ended FROM (${latest})`, { max });
    const sum = counts.reduce((total, { ended }) => total + Number(ended), 0);
    return Math.min(sum, max);
  }

  events({ key }: JobKey): RecordedEvent[] {
    const sql = `SELECT ${EVENT_COLUMNS} FROM events WHERE key = $key ORDER BY id`;
    return this.rows(sql, { key }).map(rowToEvent);
  }

  /** Returns the latest events of a job, at most `max`, the oldest first. */
  latestEvents({ key }: JobKey, max: number): RecordedEvent[] {
    const sql = `SELECT ${EVENT_COLUMNS} FROM events WHERE key = $key ORDER BY id DESC LIMIT $max`;
    return this.rows(sql, { key, max }).map(rowToEvent).reverse();
  }

  /**
   * Returns the latest events of all jobs and of `ffrtmp watch`, the latest first, each with its number; with `before`, those
   * with lower numbers.
   */
  latestOfAll(
    max: number,
    before: number = Number.MAX_SAFE_INTEGER,
  ): { id: number; jobId: string | null; event: RecordedEvent }[] {
    const sql = `SELECT id, job_id, ${EVENT_COLUMNS} FROM events LEFT JOIN jobs USING (key)
      WHERE id < $before ORDER BY id DESC LIMIT $max`;
    return this.rows(sql, { before, max })
      .map((row) => ({
        id: Number(row["id"]),
        jobId: row["job_id"] === null ? null : String(row["job_id"]),
        event: rowToEvent(row),
      }))
      .sort((a, b) => b.id - a.id)
      .slice(0, max);
  }

  #jobs(where: string, parameters: Row = {}): Job[] {
    const rows = this.rows(`SELECT * FROM jobs WHERE ${where}`, parameters);
    return this.#consistent(rows, (row) => this.#toJob(row));
  }

  #toJob(row: Row): Job {
    const job = rowToJob(row);
    const fault = isOpen(job) || !job.cleanedUp ? this.#faultOf(job) : undefined;
    if (fault !== undefined) throw new InconsistentRow(row, fault);
    return job;
  }

  #results(where: string, parameters: Row): JobResult[] {
    return this.#consistent(this.rows(`SELECT * FROM results WHERE ${where}`, parameters), rowToResult);
  }

  /** Leaves out inconsistent rows and reports each of them once. They stay in the file for the operator to see. */
  #consistent<T>(rows: Row[], convert: (row: Row) => T): T[] {
    return rows.flatMap((row) => {
      try {
        return [convert(row)];
      } catch (error) {
        if (!(error instanceof InconsistentRow)) throw error;
        const { message } = error;
        if (!this.#reported.has(message))
          this.onTrouble(`${message}. It is left out, and stays as it is in ${this.path}`);
        this.#reported.add(message);
        return [];
      }
    });
  }
}

/** Compares rows of one table, which have the same columns. */
function isSameRow(a: Row, b: Row): boolean {
  for (const name in b) if (a[name] !== b[name]) return false;
  return true;
}

/** While jobs wait, they are read beside the file. */
function byKey(a: JobKey, b: JobKey): number {
  return a.key < b.key ? -1 : 1;
}
