import type { JobResult } from "../jobs/model/ending.ts";
import type { EndedJob, Job } from "../jobs/model/job.ts";
import { type RecordedEvent, recordedEvent } from "../jobs/model/jobEvent.ts";
import type { Row } from "./database.ts";
import { parseJson } from "./eventRows.ts";
import { InconsistentRow, rowToJob, rowToResult } from "./rows.ts";
import { LedgerStore } from "./store.ts";

/** An entry of the log of a state directory. */
export type LogEntry =
  | { kind: "registered"; atMs: number; job: Job }
  /** `hasChanged`: the outcomes of the job's limits are not those of its start any more. */
  | { kind: "started"; atMs: number; job: Job; hasChanged: boolean }
  | { kind: "ended"; atMs: number; job: EndedJob; result: JobResult }
  /** An event of a job; without `jobId`, of `ffrtmp watch`. */
  | { kind: "recorded"; atMs: number; jobId: string | null; event: RecordedEvent };

/** The end of the part of the log that was read. */
export interface LogPosition {
  /** The last row of each table. */
  jobs: number;
  results: number;
  events: number;
  /** Jobs that were not running yet. */
  starting: readonly string[];
}

/** A job of which nothing is recorded between its registration and its start for longer was left by an ffrtmp that died. */
const LATEST_START_MS = 86_400_000;
/** The events that change the outcomes of a job's limits. */
const OUTCOME_CHANGES: readonly RecordedEvent["kind"][] = [
  "limits_changed",
  "reapplied",
  "given_again",
  "repair_refused",
  "left_alone",
];
const JOB_COLUMNS = `jobs.rowid AS row, jobs.*, EXISTS (
  SELECT 1 FROM events WHERE events.key = jobs.key AND kind IN ('${OUTCOME_CHANGES.join("', '")}')) AS has_changed`;
const EVENTS =
  "SELECT id AS row, job_id, at_ms, at_boot_ms, kind, detail FROM events LEFT JOIN jobs USING (key)";

/** The entries that a job of the inbox has, in their order. */
const STEPS: readonly LogEntry["kind"][] = ["registered", "started", "ended"];

/** Reads a ledger in ways that take time with the size of its history, which governing has none for. */
export class LedgerReader extends LedgerStore {
  /**
   * How many of `STEPS` were read in the inbox, by the key of the job. Its rows have no numbers there that a position could
   * name, and new ones in the file later.
   */
  readonly #readInInbox = new Map<string, number>();

  countJobs(): { open: number; ended: number } {
    const count = (sql: string) =>
      this.rows(`SELECT count(*) AS n FROM ${sql}`).reduce((sum, { n }) => sum + Number(n), 0);
    return { open: count("jobs WHERE state <> 'ended'"), ended: count("results") };
  }

  /** Returns the end of the log. */
  position(): LogPosition {
    const last = (table: string) =>
      Math.max(
        ...this.ledgerRows(`SELECT max(rowid) AS last FROM ${table}`).map((row) => Number(row["last"] ?? 0)),
      );
    const starting = this.ledgerRows("SELECT key FROM jobs WHERE state <> 'ended' AND state = 'starting'");
    return {
      jobs: last("jobs"),
      results: last("results"),
      events: last("events"),
      starting: starting.map(({ key }) => String(key)),
    };
  }

  /** Returns the entries from a time on until a position, of one job id or of all, in the order of their times. */
  since(sinceMs: number, end: LogPosition, jobId?: string): LogEntry[] {
    const named = jobId === undefined ? {} : { jobId };
    const ofJob = jobId === undefined ? "" : " AND job_id = $jobId";
    // A key begins with the time of its creation: RFC 9562, UUID version 7.
    const earliest = Math.max(0, sinceMs - LATEST_START_MS);
    const digits = Math.floor(earliest).toString(16).padStart(12, "0");
    const from = `${digits.slice(0, 8)}-${digits.slice(8)}`;
    const waiting = this.#inboxEntries(jobId);
    const jobs = this.ledgerRows(
      jobId === undefined
        ? `SELECT ${JOB_COLUMNS} FROM jobs WHERE key >= $from`
        : `SELECT ${JOB_COLUMNS} FROM jobs WHERE job_id = $jobId`,
      jobId === undefined ? { from } : { jobId },
    );
    const where = `WHERE at_ms >= $sinceMs${ofJob}`;
    const events = this.ledgerRows(`${EVENTS} ${where}`, { sinceMs, ...named });
    const entries = [
      ...waiting,
      ...jobs.filter(({ row }) => Number(row) <= end.jobs).flatMap((row) => entriesUntil(end, row)),
      ...this.#ends(`end_ms >= $sinceMs${ofJob}`, { sinceMs, ...named }, end.results),
      ...events.filter(({ row }) => Number(row) <= end.events).map(entryOfEvent),
    ];
    return inOrder(this.#newOf(entries, waiting).filter(({ atMs }) => atMs >= sinceMs));
  }

  /**
   * Returns the entries after a position until another one. `readMs`: the time of the last entry that was read; after a
   * deletion of old jobs, which lets SQLite use the numbers of rows again, only later ones are new.
   */
  between(start: LogPosition, end: LogPosition, readMs: number, jobId?: string): LogEntry[] {
    if (end.jobs < start.jobs || end.results < start.results || end.events < start.events)
      return this.since(readMs + 1, end, jobId);
    const ofJob = jobId === undefined ? "" : " AND job_id = $jobId";
    const within = (last: keyof Omit<LogPosition, "starting">): Row => ({
      first: start[last],
      last: end[last],
      ...(jobId === undefined ? {} : { jobId }),
    });
    const waiting = this.#inboxEntries(jobId);
    const jobs = this.ledgerRows(
      `SELECT ${JOB_COLUMNS} FROM jobs WHERE jobs.rowid > $first AND jobs.rowid <= $last${ofJob}`,
      within("jobs"),
    );
    const started = start.starting
      .filter((key) => !end.starting.includes(key))
      .flatMap((key) => this.ledgerRows(`SELECT ${JOB_COLUMNS} FROM jobs WHERE key = $key`, { key }))
      .filter((row) => jobId === undefined || row["job_id"] === jobId)
      .flatMap(entriesOfJob)
      .filter(({ kind }) => kind === "started");
    const events = this.ledgerRows(`${EVENTS} WHERE id > $first AND id <= $last${ofJob}`, within("events"));
    const entries = [
      ...waiting,
      ...jobs.flatMap((row) => entriesUntil(end, row)),
      ...started,
      ...this.#ends(`results.rowid > $first AND results.rowid <= $last${ofJob}`, within("results")),
      ...events.map(entryOfEvent),
    ];
    return inOrder(this.#newOf(entries, waiting));
  }

  /** Returns all entries of the jobs that are not in the file yet. */
  #inboxEntries(jobId: string | undefined): LogEntry[] {
    const where = jobId === undefined ? {} : { jobId };
    const sql = (table: string) =>
      `SELECT * FROM ${table} ${jobId === undefined ? "" : "WHERE job_id = $jobId"}`;
    const results = new Map(this.inboxRows("SELECT * FROM results").map((row) => [row["key"], row]));
    return this.inboxRows(sql("jobs"), where).flatMap((row) => {
      const result = results.get(row["key"] ?? null);
      return [...entriesOfJob(row), ...(result === undefined ? [] : endOf(row, result))];
    });
  }

  /** Leaves out what was read in the inbox before. */
  #newOf(entries: LogEntry[], waiting: readonly LogEntry[]): LogEntry[] {
    const found = entries.filter((entry) => {
      if (entry.kind === "recorded") return true;
      const step = STEPS.indexOf(entry.kind) + 1;
      return step > (this.#readInInbox.get(entry.job.key) ?? 0);
    });
    for (const entry of waiting) {
      if (entry.kind === "recorded") continue;
      const step = STEPS.indexOf(entry.kind) + 1;
      this.#readInInbox.set(entry.job.key, Math.max(step, this.#readInInbox.get(entry.job.key) ?? 0));
    }
    for (const entry of entries)
      if (entry.kind === "ended" && !waiting.includes(entry)) this.#readInInbox.delete(entry.job.key);
    return found;
  }

  #ends(where: string, parameters: Row, lastRow = Number.POSITIVE_INFINITY): LogEntry[] {
    const keys = this.ledgerRows(
      `SELECT results.rowid AS row, key FROM results JOIN jobs USING (key) WHERE ${where}`,
      parameters,
    );
    return keys.filter(({ row }) => Number(row) <= lastRow).flatMap(({ key }) => this.#endOf(String(key)));
  }

  #endOf(key: string): LogEntry[] {
    const [jobRow] = this.ledgerRows("SELECT * FROM jobs WHERE key = $key", { key });
    const [resultRow] = this.ledgerRows("SELECT * FROM results WHERE key = $key", { key });
    return jobRow === undefined || resultRow === undefined ? [] : endOf(jobRow, resultRow);
  }
}

/** Returns the entries of one job, of its record. `result`: absent for a job that has not ended. */
export function entriesOf(
  job: Job,
  result: JobResult | undefined,
  events: readonly RecordedEvent[],
): LogEntry[] {
  const { jobId } = job;
  const hasChanged = events.some(({ kind }) => OUTCOME_CHANGES.includes(kind));
  const recorded = events.map((event): LogEntry => ({ kind: "recorded", atMs: event.atMs, jobId, event }));
  const end: LogEntry[] =
    job.state === "ended" && result !== undefined ? [{ kind: "ended", atMs: result.endMs, job, result }] : [];
  return inOrder([...startOf(job, hasChanged), ...recorded, ...end]);
}

function startOf(job: Job, hasChanged: boolean): LogEntry[] {
  const registered: LogEntry = { kind: "registered", atMs: job.createdMs, job };
  if (job.state === "starting" || job.startedMs === null) return [registered];
  // The process of `exec` is older than its job, and it is governed only from then on.
  const atMs = Math.max(job.startedMs, job.createdMs);
  return [registered, { kind: "started", atMs, job, hasChanged }];
}

function endOf(jobRow: Row, resultRow: Row): LogEntry[] {
  return unlessInconsistent(() => {
    const [job, result] = [rowToJob(jobRow), rowToResult(resultRow)];
    return job.state === "ended" ? [{ kind: "ended", atMs: result.endMs, job, result }] : [];
  });
}

function entriesOfJob(row: Row): LogEntry[] {
  return unlessInconsistent(() => startOf(rowToJob(row), row["has_changed"] === 1));
}

/** Leaves out the start of a job that has started since the position was read: the next position has it. */
function entriesUntil({ starting }: LogPosition, row: Row): LogEntry[] {
  const isStarting = starting.includes(String(row["key"]));
  return entriesOfJob(row).filter(({ kind }) => kind === "registered" || !isStarting);
}

function entryOfEvent({ at_ms: atMs, at_boot_ms: boot, job_id: jobId, kind, detail }: Row): LogEntry {
  const times = { atMs: Number(atMs), ...(boot === null ? {} : { atBootMs: Number(boot) }) };
  const event = recordedEvent(times, String(kind), parseJson(String(detail)));
  return { kind: "recorded", atMs: times.atMs, jobId: jobId === null ? null : String(jobId), event };
}

/** Leaves out an inconsistent row, which `ps` and `history` report. */
function unlessInconsistent(read: () => LogEntry[]): LogEntry[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof InconsistentRow) return [];
    throw error;
  }
}

const ORDER: LogEntry["kind"][] = ["registered", "started", "recorded", "ended"];

function inOrder(entries: LogEntry[]): LogEntry[] {
  return entries.sort((a, b) => a.atMs - b.atMs || ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}
