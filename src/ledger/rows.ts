import {
  type Ending,
  type EndingFacts,
  type ExitEvidence,
  endingOfFacts,
  factsOfEnding,
  type JobResult,
} from "../jobs/model/ending.ts";
import { bootIdOf, type Job, type JobMode, type OpenJob, startedMsOf } from "../jobs/model/job.ts";
import type { Usage } from "../limits/usage.ts";
import { UNKNOWN_USAGE } from "../limits/usage.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import type { Row } from "./store.ts";

/** A row whose columns contradict each other, or that does not have the form of its table. */
export class InconsistentRow extends Error {
  constructor(key: string, reason: string) {
    super(`ledger row ${key} is inconsistent: ${reason}`);
  }
}

export function jobToRow(job: OpenJob): Row {
  return {
    key: job.key,
    job_id: job.jobId,
    mode: job.mode,
    state: job.state,
    boot_id: bootIdOf(job),
    pid: job.process?.pid ?? null,
    start_ticks: job.process?.startTicks ?? null,
    command: JSON.stringify(job.command),
    cwd: job.cwd,
    uid: job.uid,
    created_ms: job.createdMs,
    started_ms: startedMsOf(job),
    observer_pid: job.observer?.pid ?? null,
    observer_start_ticks: job.observer?.startTicks ?? null,
    intent: job.intent,
    sla_eligible: Number(job.slaEligible),
    tenant: job.tenant,
    labels: JSON.stringify(job.labels),
    limits: JSON.stringify(job.limits),
    outcomes: JSON.stringify(job.outcomes),
    cgroup: JSON.stringify(job.cgroup),
    changes: JSON.stringify(job.changes),
    log_path: job.logPath,
    released: 0,
    by_hand: job.byHand && JSON.stringify(job.byHand),
    carried_usage: job.carriedUsage && JSON.stringify(job.carriedUsage),
  };
}

/** Throws InconsistentRow for a row that is none of a starting, a running and an ended job. */
export function rowToJob(row: Row): Job {
  const read = new RowReader(row);
  const bootId = read.text("boot_id");
  const process = read.process(bootId, "pid", "start_ticks");
  const observer = read.process(bootId, "observer_pid", "observer_start_ticks");
  const startedMs = read.optionalInteger("started_ms");
  const cleanedUp = read.integer("released") === 1;
  const fields = {
    key: read.key,
    jobId: read.text("job_id"),
    mode: read.oneOf<JobMode>("mode", ["run", "attach", "watch"]),
    command: read.array<string>("command"),
    cwd: read.optionalText("cwd"),
    uid: read.optionalInteger("uid"),
    createdMs: read.integer("created_ms"),
    intent: read.optionalText("intent"),
    slaEligible: read.integer("sla_eligible") === 1,
    tenant: read.optionalText("tenant"),
    labels: read.object<Job["labels"]>("labels"),
    limits: read.object<Job["limits"]>("limits"),
    byHand: read.isNull("by_hand") ? null : read.object<Job["limits"]>("by_hand"),
    outcomes: read.array<Job["outcomes"][number]>("outcomes"),
    cgroup: read.array<Job["cgroup"][number]>("cgroup"),
    // The row of a job that is cleaned up can have the form of ffrtmp 0.1.0, and nothing of it is undone any more.
    changes: cleanedUp ? [] : read.array<Job["changes"][number]>("changes"),
    carriedUsage: read.isNull("carried_usage") ? null : read.usage("carried_usage"),
    logPath: read.optionalText("log_path"),
  };
  const state = read.oneOf<Job["state"]>("state", ["starting", "running", "ended"]);
  if (state === "ended") {
    if (observer !== null) throw read.inconsistent("it has ended, but names an observer");
    return { ...fields, state, process, startedMs, cleanedUp };
  }
  if (cleanedUp) throw read.inconsistent(`it is ${state}, but marked as cleaned up`);
  if (state === "starting") {
    if (observer === null) throw read.inconsistent("it is starting, but names no ffrtmp that starts it");
    if (startedMs !== null) throw read.inconsistent("it is starting, but has a start time");
    return { ...fields, state, process, observer };
  }
  if (process === null) throw read.inconsistent("it is running, but names no process");
  if (startedMs === null) throw read.inconsistent("it is running, but has no start time");
  return { ...fields, state, process, startedMs, observer };
}

export function resultToRow(result: JobResult): Row {
  const facts = factsOfEnding(result.ending);
  return {
    key: result.key,
    ending: facts.ending,
    start_ms: result.startMs,
    end_ms: result.endMs,
    exit_code: facts.exitCode,
    signal: facts.signal,
    exit_evidence: facts.exitEvidence,
    exit_unknown_because: facts.exitUnknownBecause,
    sla_compliant: Number(result.slaCompliant),
    sla_reason: result.slaReason,
    outcomes: JSON.stringify(result.outcomes),
    usage: JSON.stringify(result.usage),
  };
}

/** Throws InconsistentRow for a row that names no ending. */
export function rowToResult(row: Row): JobResult {
  const read = new RowReader(row);
  return {
    key: read.key,
    ending: readEnding(read),
    startMs: read.optionalInteger("start_ms"),
    endMs: read.integer("end_ms"),
    slaCompliant: read.integer("sla_compliant") === 1,
    slaReason: read.text("sla_reason"),
    outcomes: read.array<JobResult["outcomes"][number]>("outcomes"),
    usage: read.usage("usage"),
  };
}

function readEnding(read: RowReader): Ending {
  const endings = ["exited", "detached", "unobserved", "never_started"] as const;
  const evidence = ["parent", "pidfd", "proc-event", "proc-stat"] as const;
  const ending = endingOfFacts({
    ending: read.oneOf<EndingFacts["ending"]>("ending", endings),
    exitCode: read.optionalInteger("exit_code"),
    signal: read.optionalText("signal"),
    exitEvidence: read.isNull("exit_evidence") ? null : read.oneOf<ExitEvidence>("exit_evidence", evidence),
    exitUnknownBecause: read.optionalText("exit_unknown_because"),
  });
  if (ending === undefined) throw read.inconsistent("the columns of its ending contradict each other");
  return ending;
}

/** Reads the columns of one row. Every method throws InconsistentRow for a value of another type. */
class RowReader {
  readonly #row: Row;

  constructor(row: Row) {
    this.#row = row;
  }

  get key(): string {
    return String(this.#row["key"]);
  }

  inconsistent(reason: string): InconsistentRow {
    return new InconsistentRow(this.key, reason);
  }

  isNull(column: string): boolean {
    return this.#row[column] === null;
  }

  text(column: string): string {
    const value = this.#row[column];
    if (typeof value !== "string") throw this.inconsistent(`${column} is ${value}`);
    return value;
  }

  integer(column: string): number {
    const value = this.#row[column];
    if (typeof value !== "number") throw this.inconsistent(`${column} is ${value}`);
    return value;
  }

  optionalText(column: string): string | null {
    return this.isNull(column) ? null : this.text(column);
  }

  optionalInteger(column: string): number | null {
    return this.isNull(column) ? null : this.integer(column);
  }

  oneOf<T extends string>(column: string, values: readonly T[]): T {
    const value = this.#row[column];
    const known = values.find((each) => each === value);
    if (known === undefined) throw this.inconsistent(`${column} is ${value}`);
    return known;
  }

  process(bootId: string, pidColumn: string, startColumn: string): ProcessIdentity | null {
    const pid = this.optionalInteger(pidColumn);
    const startTicks = this.optionalInteger(startColumn);
    if (pid === null && startTicks === null) return null;
    if (pid === null) throw this.inconsistent(`${startColumn} is ${startTicks}, but ${pidColumn} is null`);
    if (startTicks === null) throw this.inconsistent(`${pidColumn} is ${pid}, but ${startColumn} is null`);
    return { bootId, pid, startTicks };
  }

  array<T>(column: string): T[] {
    const value = this.#json(column);
    if (!Array.isArray(value)) throw this.inconsistent(`${column} is no JSON array`);
    return value;
  }

  object<T extends object>(column: string): T {
    const value = this.#json(column);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw this.inconsistent(`${column} is no JSON object`);
    return value as T;
  }

  /** Fields that an older ffrtmp did not measure are unknown. */
  usage(column: string): Usage {
    return { ...UNKNOWN_USAGE, ...this.object<Partial<Usage>>(column) };
  }

  #json(column: string): unknown {
    const text = this.text(column);
    try {
      return JSON.parse(text);
    } catch {
      throw this.inconsistent(`${column} is no JSON`);
    }
  }
}
