import { type EndingFacts, endingOfFacts, factsOfEnding, type JobResult } from "../jobs/model/ending.ts";
import { isSecondsBy } from "../jobs/model/hindered.ts";
import { bootIdOf, type Job, type JobFields, type OpenJob, startedMsOf } from "../jobs/model/job.ts";
import { formatLimit, type LimitLayer, type Limits, mergeLayers } from "../limits/limits.ts";
import { LIMIT_NAMES, TASK_LIMITS } from "../limits/table.ts";
import { UNKNOWN_USAGE, type Usage } from "../limits/usage.ts";
import type { Change } from "../linux/change.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import type { Row, Value } from "./database.ts";

/** A row whose columns contradict each other, or that contains invalid JSON. */
export class InconsistentRow extends Error {
  constructor({ key }: Row, reason: string) {
    super(`ledger row ${key} is inconsistent: ${reason}`);
  }
}

/** The column of one field. `read` throws InconsistentRow. */
interface Column<T> {
  readonly name: string;
  read(row: Row): T;
}

type Columns<Fields> = { readonly [F in keyof Fields]: Column<Fields[F]> };

const JOB_COLUMNS: Columns<JobFields> = {
  key: plain("key"),
  jobId: plain("job_id"),
  mode: plain("mode"),
  command: list("command", (word) => typeof word === "string"),
  commandCut: boolean("command_cut"),
  cwd: plain("cwd"),
  uid: plain("uid"),
  createdMs: plain("created_ms"),
  intent: plain("intent"),
  slaEligible: boolean("sla_eligible"),
  tenant: plain("tenant"),
  labels: object("labels", (labels) => Object.values(labels).every((value) => typeof value === "string")),
  limits: object("limits", isLimits),
  byHand: object("by_hand", isLayer),
  outcomes: list("outcomes", isOutcome),
  cgroup: list("cgroup", isLocation),
  changes: list("changes", isChange),
  carriedUsage: usage("carried_usage"),
  logPath: plain("log_path"),
  decidedBy: plain("decided_by"),
};

const RESULT_COLUMNS: Columns<Omit<JobResult, "ending"> & EndingFacts> = {
  key: plain("key"),
  ending: plain("ending"),
  exitCode: plain("exit_code"),
  signal: plain("signal"),
  exitEvidence: plain("exit_evidence"),
  exitUnknownBecause: plain("exit_unknown_because"),
  startMs: plain("start_ms"),
  startBootMs: plain("start_boot_ms"),
  endMs: plain("end_ms"),
  endBootMs: plain("end_boot_ms"),
  lastSeenMs: plain("last_seen_ms"),
  endedBeforeMs: plain("ended_before_ms"),
  slaCompliant: boolean("sla_compliant"),
  slaReason: plain("sla_reason"),
  outcomes: list("outcomes", isOutcome),
  usage: usage("usage"),
  hinderedSeconds: absentIsNull(object("hindered", isSecondsBy)),
};

export function jobToRow(job: OpenJob): Row {
  return {
    ...toRow(job),
    state: job.state,
    boot_id: bootIdOf(job),
    pid: job.process?.pid ?? null,
    start_ticks: job.process?.startTicks ?? null,
    started_ms: startedMsOf(job),
    started_boot_ms: job.state === "running" ? job.startedBootMs : null,
    observer_pid: job.observer?.pid ?? null,
    observer_start_ticks: job.observer?.startTicks ?? null,
  };
}

/** Throws InconsistentRow for a row that is none of a starting, a running and an ended job. */
export function rowToJob(row: Row): Job {
  const cleanedUp = row["released"] === 1;
  // The row of a job that is cleaned up can have the form of ffrtmp 0.1.0, and nothing of it is undone any more.
  const fields = readColumns(cleanedUp ? { ...row, changes: "[]" } : row, JOB_COLUMNS);
  const state = row["state"] as Job["state"];
  const process = readProcess(row, "pid", "start_ticks");
  const observer = readProcess(row, "observer_pid", "observer_start_ticks");
  const startedMs = row["started_ms"] as number | null;
  const startedBootMs = row["started_boot_ms"] as number | null;
  if (state === "ended") {
    if (observer !== null) throw new InconsistentRow(row, "it has ended, but names an observer");
    return { ...fields, state, process, startedMs, startedBootMs, cleanedUp };
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
  return { ...fields, state, process, startedMs, startedBootMs, observer };
}

/** Reads only the journal of a row. Throws InconsistentRow. */
export const rowToChanges = JOB_COLUMNS.changes.read;

function readProcess(row: Row, pidColumn: string, startColumn: string): ProcessIdentity | null {
  const [pid, startTicks] = [row[pidColumn], row[startColumn]];
  if (typeof pid === "number" && typeof startTicks === "number")
    return { bootId: String(row["boot_id"]), pid, startTicks };
  if (pid === startTicks) return null;
  const [known, unknown] = pid === null ? [startColumn, pidColumn] : [pidColumn, startColumn];
  throw new InconsistentRow(row, `${known} is ${row[known]}, but ${unknown} is null`);
}

export function resultToRow({ ending, ...result }: JobResult): Row {
  return toRow({ ...result, ...factsOfEnding(ending) }, RESULT_COLUMNS);
}

/** Throws InconsistentRow for a row that names no ending. */
export function rowToResult(row: Row): JobResult {
  const fields = readColumns(row, RESULT_COLUMNS);
  const { ending: _, exitCode, signal, exitEvidence, exitUnknownBecause, ...rest } = fields;
  const ending = endingOfFacts({ ending: fields.ending, exitCode, signal, exitEvidence, exitUnknownBecause });
  if (!ending) throw new InconsistentRow(row, "the columns of its ending contradict each other");
  // Earlier releases recorded an unobserved end with the time when they noticed it.
  const unseen = ending.kind === "unobserved" && rest.endBootMs === null ? rest.endMs : null;
  return { ...rest, ending, endedBeforeMs: rest.endedBeforeMs ?? unseen };
}

/** Returns the columns of those fields that are present and in the table. */
export function toRow(fields: object, columns: Record<string, Column<unknown>> = JOB_COLUMNS): Row {
  const row: Row = {};
  for (const [field, value] of Object.entries(fields)) {
    // Fields can come from a file: `constructor` is no column.
    const column = Object.hasOwn(columns, field) ? columns[field] : undefined;
    if (column && value !== undefined) row[column.name] = toValue(value);
  }
  return row;
}

function toValue(value: unknown): Value {
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : (value as Value);
}

function readColumns<Fields>(row: Row, columns: Columns<Fields>): Fields {
  const entries = Object.entries(columns as Record<string, Column<unknown>>);
  return Object.fromEntries(entries.map(([field, { read }]) => [field, read(row)])) as Fields;
}

/** A column whose type and values the schema checks: the tables are STRICT. */
function plain<T extends Value>(name: string): Column<T> {
  return { name, read: (row) => row[name] as T };
}

function boolean(name: string): Column<boolean> {
  return { name, read: (row) => row[name] === 1 };
}

function json<T>(name: string, type: "array" | "object"): Column<T> {
  const read = (row: Row): T => {
    let value: unknown;
    try {
      value = JSON.parse(String(row[name]));
    } catch {
      throw new InconsistentRow(row, `${name} is no JSON`);
    }
    const found = Array.isArray(value) ? "array" : typeof value;
    if (found !== type && row[name] !== null) throw new InconsistentRow(row, `${name} is no JSON ${type}`);
    return value as T;
  };
  return { name, read };
}

function list<T>(name: string, isElement: (value: unknown) => boolean): Column<T[]> {
  const { read } = json<T[]>(name, "array");
  return checked(name, read, (values) => values.every(isElement));
}

function object<T extends object | null>(name: string, isValid: (value: Fields) => boolean): Column<T> {
  return checked(name, json<T>(name, "object").read, (value) => isValid(value as unknown as Fields));
}

/** A line of the inbox that an earlier build wrote has no such value. */
function absentIsNull<T>({ name, read }: Column<T | null>): Column<T | null> {
  return { name, read: (row) => (row[name] === undefined ? null : read(row)) };
}

function checked<T>(
  name: string,
  read: (row: Row) => T,
  isValid: (value: NonNullable<T>) => boolean,
): Column<T> {
  return {
    name,
    read(row) {
      const value = read(row);
      if (value !== null && !isValid(value as NonNullable<T>))
        throw new InconsistentRow(row, `${name} does not have the form that ffrtmp writes`);
      return value;
    },
  };
}

type Fields = Record<string, unknown>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns whether each limit has a value that can be written out. */
function isLimits(limits: Fields): boolean {
  try {
    return LIMIT_NAMES.every((name) => formatLimit(limits as Limits, name) !== null);
  } catch {
    return false;
  }
}

function isLayer(layer: Fields): boolean {
  return isLimits(mergeLayers(layer as LimitLayer) as Fields);
}

function isOutcome(value: unknown): boolean {
  return isFields(value) && areStrings(value["limit"], value["outcome"], value["wanted"]);
}

function isLocation(value: unknown): boolean {
  if (!isFields(value)) return false;
  const before = [value["countedBefore"], value["tenantCountedBefore"]];
  return (
    areStrings(value["hierarchy"], value["path"], value["placedAs"] ?? "") &&
    before.every((each) => each === undefined || isFields(each))
  );
}

/** The fields that each kind of change has, beside its kind. The paths are checked where they are used. */
const CHANGES: { [Kind in Change["kind"]]: (change: Fields) => boolean } = {
  "cgroup-created": ({ hierarchy, path, role, carried = {} }) =>
    areStrings(hierarchy, path, role) && isFields(carried) && areStrings(...Object.values(carried)),
  "controller-enabled": ({ hierarchy, path, controller }) => areStrings(hierarchy, path, controller),
  "file-written": ({ hierarchy, path, before, after }) =>
    areStrings(hierarchy, path, before ?? "", after ?? ""),
  "processes-moved": ({ hierarchy, from, to }) => areStrings(hierarchy, from, to),
  "attribute-set": ({ attribute, pid, tid, startTicks, before, after }) =>
    TASK_LIMITS.some((name) => name === attribute) &&
    [pid, tid, startTicks, before, after].every(Number.isSafeInteger),
  "scope-started": ({ manager, unit }) => areStrings(manager, unit),
};

function isChange(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { kind } = value;
  return typeof kind === "string" && Object.hasOwn(CHANGES, kind) && CHANGES[kind as Change["kind"]](value);
}

function areStrings(...values: unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}

/** Fields that an older ffrtmp did not measure are unknown. */
function usage<T extends Usage | null>(name: string): Column<T> {
  const { read } = json<T>(name, "object");
  return { name, read: (row) => (row[name] === null ? read(row) : { ...UNKNOWN_USAGE, ...read(row) }) };
}
