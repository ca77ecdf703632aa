import type { Database } from "bun:sqlite";
import type { JobResult } from "../jobs/model/ending.ts";
import { type EndedJob, isOpen, type Job, type OpenJob } from "../jobs/model/job.ts";
import type { Row } from "./database.ts";
import { InconsistentRow, rowToJob, rowToResult } from "./rows.ts";

/** A result with its number. `fault`: its rows contradict each other, and say nothing that may be believed. */
export type NumberedResult = { seq: number; key: string } & (
  | { job: EndedJob; result: JobResult }
  | { fault: string }
);

/** The ends of the eligible jobs of a period. */
export interface Totals {
  jobs: number;
  compliant: number;
  /** The violations by the first word of their reason. */
  violations: Record<string, number>;
}

/** The condition of a job that is starting or running, in all its rows. */
export const IS_OPEN = "state <> 'ended'";

/**
 * The results of a ledger in the order in which they were recorded, and what a reader of all jobs needs. A number is given
 * once; one whose result was pruned is missing. A result of a plain launch gets its number when an ffrtmp folds its file of
 * the inbox. Throws errors of SQLite.
 */
export class Outbox {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The id of the ledger, which its copies have too. */
  get ledgerId(): string {
    return String(this.#value("SELECT ledger_id FROM identity"));
  }

  /** The last number that was given; 0 where none was. */
  get lastSeq(): number {
    return Number(this.#value("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'") ?? 0);
  }

  /** Returns the key of the job whose result has a number; `undefined` where it was pruned, or the number was not given. */
  keyOf(seq: number): string | undefined {
    const key = this.#value("SELECT key FROM outbox WHERE seq = $seq", { seq });
    return key === undefined ? undefined : String(key);
  }

  /** Returns the first results with numbers above `seq`. */
  after(seq: number, max: number): NumberedResult[] {
    const numbers = this.#rows("SELECT seq, key FROM outbox WHERE seq > $seq ORDER BY seq LIMIT $max", {
      seq,
      max,
    });
    return numbers.map((row) => this.#read(Number(row["seq"]), String(row["key"])));
  }

  /** When the first job with a number above `seq` ended, in ms since the epoch. */
  endOfNextMs(seq: number): number | undefined {
    const sql = "SELECT end_ms FROM outbox JOIN results USING (key) WHERE seq > $seq ORDER BY seq LIMIT 1";
    const endMs = this.#value(sql, { seq });
    return endMs === undefined ? undefined : Number(endMs);
  }

  /** Returns the last job with an id, and its result if it has ended; `undefined` where there is none that can be read. */
  lastWithId(jobId: string): { job: Job; result: JobResult | undefined } | undefined {
    const sql = "SELECT * FROM jobs WHERE job_id = $jobId ORDER BY created_ms DESC LIMIT 1";
    const [jobRow] = this.#rows(sql, { jobId });
    if (jobRow === undefined) return undefined;
    const [resultRow] = this.#rows("SELECT * FROM results WHERE key = $key", { key: String(jobRow["key"]) });
    const read = unlessInconsistent(() => ({
      job: rowToJob(jobRow),
      result: resultRow === undefined ? undefined : rowToResult(resultRow),
    }));
    return typeof read === "string" ? undefined : read;
  }

  /** Returns the jobs that are open in the file, and those of other rows that the file does not have. */
  openJobs(others: readonly Row[]): OpenJob[] {
    const recorded = this.#rows(`SELECT * FROM jobs WHERE ${IS_OPEN} ORDER BY +key`);
    const rows = [...recorded, ...others.filter(({ key }) => !this.#hasJob(String(key)))];
    const jobs = rows.flatMap((row) => {
      const job = unlessInconsistent(() => rowToJob(row));
      return typeof job === "object" && isOpen(job) ? [job] : [];
    });
    return jobs.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Counts the jobs with `--sla-eligible` that ended since a time. */
  totals(sinceMs: number): Totals {
    const sql = `SELECT sla_compliant, sla_reason, count(*) AS n
      FROM results CROSS JOIN jobs USING (key) WHERE end_ms >= $sinceMs AND sla_eligible = 1
      GROUP BY sla_compliant, sla_reason`;
    const totals: Totals = { jobs: 0, compliant: 0, violations: {} };
    for (const { sla_compliant: isCompliant, sla_reason: reason, n } of this.#rows(sql, { sinceMs })) {
      totals.jobs += Number(n);
      if (isCompliant === 1) totals.compliant += Number(n);
      else {
        // quota_not_applied (cpu.max: EACCES)
        const word = String(reason).split(" ", 1)[0] ?? "";
        totals.violations[word] = (totals.violations[word] ?? 0) + Number(n);
      }
    }
    return totals;
  }

  /** The value of a note; `undefined` where it is not set. */
  note(name: string): string | undefined {
    const value = this.#value("SELECT value FROM notes WHERE name = $name", { name });
    return value === undefined ? undefined : String(value);
  }

  #hasJob(key: string): boolean {
    return this.#value("SELECT 1 FROM jobs WHERE key = $key", { key }) !== undefined;
  }

  #read(seq: number, key: string): NumberedResult {
    const [jobRow] = this.#rows("SELECT * FROM jobs WHERE key = $key", { key });
    const [resultRow] = this.#rows("SELECT * FROM results WHERE key = $key", { key });
    if (jobRow === undefined || resultRow === undefined) return { seq, key, fault: "its row is missing" };
    const read = unlessInconsistent(() => ({ job: rowToJob(jobRow), result: rowToResult(resultRow) }));
    if (typeof read === "string") return { seq, key, fault: read };
    const { job, result } = read;
    return job.state === "ended" ? { seq, key, job, result } : { seq, key, fault: `it is ${job.state}` };
  }

  #rows(sql: string, parameters: Row = {}): Row[] {
    return this.#db.query<Row, Row>(sql).all(parameters);
  }

  #value(sql: string, parameters: Row = {}): unknown {
    return this.#db.query<Row, Row>(sql).values(parameters)[0]?.[0];
  }
}

/** Returns the message of an InconsistentRow. */
function unlessInconsistent<T extends object>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof InconsistentRow) return error.message;
    throw error;
  }
}
