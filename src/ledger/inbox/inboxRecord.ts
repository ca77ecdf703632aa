import type { JobResult } from "../../jobs/model/ending.ts";
import type { StartingJob } from "../../jobs/model/job.ts";
import type { Row } from "../database.ts";
import { jobToRow, resultToRow, rowToJob, rowToResult, toRow } from "../rows.ts";
import { DONE_SUFFIX, OPEN_SUFFIX } from "./inboxFile.ts";
import type { RunningLine } from "./inboxLines.ts";

/**
 * The suffix of a file whose job is in the ledger: `KEY.folded`. Its writer finds that the name has changed, and uses the
 * ledger from then on. What the file contains is in the ledger before the file is removed.
 */
export const FOLDED_SUFFIX = ".folded";

/** The rows of one inbox file, in the form that the ledger stores. */
export interface InboxRecord {
  readonly key: string;
  readonly jobId: string;
  /** The job, open, without its result. */
  readonly job: Row;
  /** The columns that its start has set; `undefined` before the start. */
  readonly start: Row | undefined;
  readonly result: Row | undefined;
  /** Nothing of the ended job is left in the system. */
  readonly isCleanedUp: boolean;
  /** Why later lines of the file are not in this record. What is left of the job is recovered as after a death. */
  readonly damage: string | undefined;
}

/** Why nothing of a file may be used. `isDamaged`: this ffrtmp would have written it otherwise. */
export interface Rejected {
  readonly rejected: string;
  readonly isDamaged: boolean;
}

/** `incomplete`: no job is recorded in the file yet. */
export type Parsed = InboxRecord | "incomplete" | Rejected;

const KEY = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** As `faultInJobId` of jobs/job.ts: ids are part of file, cgroup and unit names. */
const JOB_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export function isInboxName(name: string): boolean {
  return [OPEN_SUFFIX, DONE_SUFFIX, FOLDED_SUFFIX].some((suffix) => name.endsWith(suffix));
}

/** Returns whether a file may still change, because its writer has not finished it and no ffrtmp has folded it. */
export function isOpenName(name: string): boolean {
  return name.endsWith(OPEN_SUFFIX);
}

/** Reads the lines of an inbox file. A last line without a newline is left out: its writer died during the write. */
export function parseInboxFile(name: string, text: string): Parsed {
  const [first, ...rest] = text.split("\n").slice(0, -1);
  if (first === undefined) return "incomplete";
  try {
    return withLaterLines(name, parseFirst(name, parseObject(first)), rest);
  } catch (error) {
    return { rejected: describe(error), isDamaged: !(error instanceof OtherVersion) };
  }
}

/** Another version of ffrtmp has written it, and can read it. */
class OtherVersion extends Error {}

type Fields = Record<string, unknown>;

function parseObject(line: string): Fields {
  const value = JSON.parse(line) as unknown;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("a line is no JSON object");
  return value as Fields;
}

function parseFirst(name: string, { version, job: recorded }: Fields): InboxRecord {
  if (version !== 1) {
    const reason = `its version is ${version}, and this ffrtmp knows version 1`;
    throw Number.isSafeInteger(version) ? new OtherVersion(reason) : new Error(reason);
  }
  const job = jobToRow({ ...(recorded as StartingJob), state: "starting", process: null });
  const { key, job_id: jobId, mode } = job;
  if (typeof key !== "string" || !KEY.test(key)) throw new Error("it has no valid key");
  if (typeof jobId !== "string" || !JOB_ID.test(jobId)) throw new Error("it has no valid job id");
  if (mode !== "run") throw new Error(`its mode is ${mode}`);
  const names = [`${jobId}${OPEN_SUFFIX}`, `${key}${DONE_SUFFIX}`];
  if (!names.includes(name) && !name.endsWith(FOLDED_SUFFIX))
    throw new Error("its name is not that of its job");
  rowToJob(job);
  return { key, jobId, job, start: undefined, result: undefined, isCleanedUp: false, damage: undefined };
}

/** Adds the lines up to the first one that is damaged. */
function withLaterLines(name: string, first: InboxRecord, lines: readonly string[]): InboxRecord {
  let record = first;
  try {
    for (const line of lines) record = withLine(record, parseObject(line));
  } catch (error) {
    return { ...record, damage: describe(error) };
  }
  if (!name.endsWith(DONE_SUFFIX)) return record;
  if (record.result !== undefined) return { ...record, isCleanedUp: true };
  return { ...record, damage: "its name says that the job has ended, and it has no result" };
}

/** Throws for a line that the ledger could not be read with later. The types of columns are checked by its schema. */
function withLine(record: InboxRecord, { running, result }: Fields): InboxRecord {
  if (running !== undefined) {
    const start = startColumns(running as RunningLine["running"]);
    rowToJob({ ...record.job, ...start });
    return { ...record, start };
  }
  if (result === undefined) throw new Error("it has a line that is neither a start nor a result");
  const row = resultToRow(result as JobResult);
  rowToResult(row);
  if (row["key"] !== record.key) throw new Error("its result is that of another job");
  return { ...record, result: row };
}

function startColumns({ process, startedMs, startedBootMs, ...facts }: RunningLine["running"]): Row {
  return {
    ...toRow(facts),
    state: "running",
    pid: process.pid,
    start_ticks: process.startTicks,
    started_ms: startedMs,
    started_boot_ms: startedBootMs,
  };
}

/** Returns the row of the job as a ledger with the whole record has it. */
export function currentRow({ job, start, result, isCleanedUp }: InboxRecord): Row {
  const open = { ...job, ...start };
  if (result === undefined) return open;
  const ended = { ...open, state: "ended", observer_pid: null, observer_start_ticks: null };
  return isCleanedUp ? { ...ended, released: 1, changes: "[]" } : ended;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
