import { type EndingFacts, endingOfFacts, factsOfEnding, type JobResult } from "../jobs/model/ending.ts";
import { bootIdOf, type Job, type JobFields, type OpenJob, startedMsOf } from "../jobs/model/job.ts";
import { UNKNOWN_USAGE, type Usage } from "../limits/usage.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import type { Row, Value } from "./store.ts";

/** A row whose columns contradict each other, or that does not have the form of its table. */
export class InconsistentRow extends Error {
  constructor({ key }: Row, reason: string) {
    super(`ledger row ${key} is inconsistent: ${reason}`);
  }
}

/** The column of one field. `read` throws InconsistentRow for a value of another type. */
interface Column<T> {
  readonly name: string;
  read(row: Row): T;
}

type Columns<Fields> = { readonly [F in keyof Fields]: Column<Fields[F]> };

/** The fields of a job that it has in every state, as the table `jobs` has them. */
const JOB_COLUMNS: Columns<JobFields> = {
  key: text("key"),
  jobId: text("job_id"),
  mode: oneOf("mode", "run", "attach", "watch"),
  command: array("command"),
  cwd: nullable(text("cwd")),
  uid: nullable(integer("uid")),
  createdMs: integer("created_ms"),
  intent: nullable(text("intent")),
  slaEligible: boolean("sla_eligible"),
  tenant: nullable(text("tenant")),
  labels: object("labels"),
  limits: object("limits"),
  byHand: nullable(object("by_hand")),
  outcomes: array("outcomes"),
  cgroup: array("cgroup"),
  changes: array("changes"),
  carriedUsage: nullable(usage("carried_usage")),
  logPath: nullable(text("log_path")),
};

const RESULT_COLUMNS: Columns<Omit<JobResult, "ending"> & EndingFacts> = {
  key: text("key"),
  ending: oneOf("ending", "exited", "detached", "unobserved", "never_started"),
  exitCode: nullable(integer("exit_code")),
  signal: nullable(text("signal")),
  exitEvidence: nullable(oneOf("exit_evidence", "parent", "pidfd", "proc-event", "proc-stat")),
  exitUnknownBecause: nullable(text("exit_unknown_because")),
  startMs: nullable(integer("start_ms")),
  endMs: integer("end_ms"),
  slaCompliant: boolean("sla_compliant"),
  slaReason: text("sla_reason"),
  outcomes: array("outcomes"),
  usage: usage("usage"),
};

export function jobToRow(job: OpenJob): Row {
  return {
    ...toRow(job),
    state: job.state,
    boot_id: bootIdOf(job),
    pid: job.process?.pid ?? null,
    start_ticks: job.process?.startTicks ?? null,
    started_ms: startedMsOf(job),
    observer_pid: job.observer?.pid ?? null,
    observer_start_ticks: job.observer?.startTicks ?? null,
  };
}

/** Throws InconsistentRow for a row that is none of a starting, a running and an ended job. */
export function rowToJob(row: Row): Job {
  const cleanedUp = boolean("released").read(row);
  // The row of a job that is cleaned up can have the form of ffrtmp 0.1.0, and nothing of it is undone any more.
  const fields = readColumns(cleanedUp ? { ...row, changes: "[]" } : row, JOB_COLUMNS);
  const state = oneOf("state", "starting", "running", "ended").read(row);
  const process = readProcess(row, "pid", "start_ticks");
  const observer = readProcess(row, "observer_pid", "observer_start_ticks");
  const startedMs = nullable(integer("started_ms")).read(row);
  if (state === "ended") {
    if (observer !== null) throw new InconsistentRow(row, "it has ended, but names an observer");
    return { ...fields, state, process, startedMs, cleanedUp };
  }
  if (cleanedUp) throw new InconsistentRow(row, `it is ${state}, but marked as cleaned up`);
  if (state === "starting") {
    if (observer === null)
      throw new InconsistentRow(row, "it is starting, but names no ffrtmp that starts it");
    if (startedMs !== null) throw new InconsistentRow(row, "it is starting, but has a start time");
    return { ...fields, state, process, observer };
  }
  if (process === null) throw new InconsistentRow(row, "it is running, but names no process");
  if (startedMs === null) throw new InconsistentRow(row, "it is running, but has no start time");
  return { ...fields, state, process, startedMs, observer };
}

function readProcess(row: Row, pidColumn: string, startColumn: string): ProcessIdentity | null {
  const pid = nullable(integer(pidColumn)).read(row);
  const startTicks = nullable(integer(startColumn)).read(row);
  if (pid === null && startTicks === null) return null;
  if (pid === null)
    throw new InconsistentRow(row, `${startColumn} is ${startTicks}, but ${pidColumn} is null`);
  if (startTicks === null)
    throw new InconsistentRow(row, `${pidColumn} is ${pid}, but ${startColumn} is null`);
  return { bootId: text("boot_id").read(row), pid, startTicks };
}

export function resultToRow({ ending, ...result }: JobResult): Row {
  return toRow({ ...result, ...factsOfEnding(ending) }, RESULT_COLUMNS);
}

/** Throws InconsistentRow for a row that names no ending. */
export function rowToResult(row: Row): JobResult {
  const fields = readColumns(row, RESULT_COLUMNS);
  const { key, startMs, endMs, slaCompliant, slaReason, outcomes, usage, ...facts } = fields;
  const ending = endingOfFacts(facts);
  if (!ending) throw new InconsistentRow(row, "the columns of its ending contradict each other");
  return { key, ending, startMs, endMs, slaCompliant, slaReason, outcomes, usage };
}

/** Returns the columns of those fields that are present and in the table. */
export function toRow(fields: object, columns: Record<string, Column<unknown>> = JOB_COLUMNS): Row {
  const values = Object.entries(fields).filter(([field, value]) => field in columns && value !== undefined);
  return Object.fromEntries(values.map(([field, value]) => [columns[field]?.name, toValue(value)]));
}

function toValue(value: unknown): Value {
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : (value as Value);
}

function readColumns<Fields>(row: Row, columns: Columns<Fields>): Fields {
  const entries = Object.entries(columns as Record<string, Column<unknown>>);
  return Object.fromEntries(entries.map(([field, { read }]) => [field, read(row)])) as Fields;
}

function text(name: string): Column<string> {
  return column(name, (value) => typeof value === "string");
}

function integer(name: string): Column<number> {
  return column(name, (value) => typeof value === "number");
}

function oneOf<T extends string>(name: string, ...values: T[]): Column<T> {
  return column(name, (value): value is T => values.some((each) => each === value));
}

function column<T extends Value>(name: string, isOfType: (value: unknown) => value is T): Column<T> {
  const read = (row: Row): T => {
    const value = row[name];
    if (!isOfType(value)) throw new InconsistentRow(row, `${name} is ${value}`);
    return value;
  };
  return { name, read };
}

function boolean(name: string): Column<boolean> {
  return { name, read: (row) => integer(name).read(row) === 1 };
}

function nullable<T>({ name, read }: Column<T>): Column<T | null> {
  return { name, read: (row) => (row[name] === null ? null : read(row)) };
}

function array<T>(name: string): Column<T[]> {
  return json(name, "array", Array.isArray);
}

function object<T extends object>(name: string): Column<T> {
  const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
  return json(name, "object", (value) => isObject(value) && !Array.isArray(value));
}

function json<T>(name: string, type: string, isOfType: (value: unknown) => boolean): Column<T> {
  const read = (row: Row): T => {
    let value: unknown;
    try {
      value = JSON.parse(String(row[name]));
    } catch {
      throw new InconsistentRow(row, `${name} is no JSON`);
    }
    if (!isOfType(value)) throw new InconsistentRow(row, `${name} is no JSON ${type}`);
    return value as T;
  };
  return { name, read };
}

/** Fields that an older ffrtmp did not measure are unknown. */
function usage(name: string): Column<Usage> {
  const { read } = object<Partial<Usage>>(name);
  return { name, read: (row) => ({ ...UNKNOWN_USAGE, ...read(row) }) };
}
