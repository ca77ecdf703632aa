import type { Limits } from "../limits/limits.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import { UNKNOWN_USAGE, type Usage } from "../limits/usage.ts";
import type { StoredDirectory } from "../linux/cgroup/planJobCgroup.ts";
import type { ExitEvidence as ObserverEvidence } from "../linux/events/processEvents.ts";

/** How a job came under governance. */
export type JobMode = "run" | "attach" | "watch";

/** The process that will record a job's end: an ffrtmp. */
export interface Observer {
  pid: number;
  startTicks: number;
}

/** A value of one process or thread that was changed for a job, and what it was before. */
export interface Touched {
  pid: number;
  /** Thread id; the same as pid for values of a whole process. */
  tid: number;
  /** Start of the thread, so that a reused id is never written to. */
  startTicks: number;
  value: "nice" | "ionice" | "oom_score_adj";
  before: number;
  after: number;
}

export interface JobRecord {
  /** Names the record for good; sorts by creation. A job id may be used again after its job has ended. */
  key: string;
  jobId: string;
  mode: JobMode;
  /** `starting`: on record before anything was done for it. */
  state: "starting" | "running" | "ended";
  bootId: string;
  /** `null` while starting. */
  pid: number | null;
  startTicks: number | null;
  command: string[];
  cwd: string | null;
  uid: number | null;
  createdMs: number;
  /** When governing began. `null` while starting. */
  startedMs: number | null;
  /** `null`: nobody waits for its end. */
  observer: Observer | null;
  /** What the job is for, in the operator's word. */
  intent: string | null;
  slaEligible: boolean;
  tenant: string | null;
  labels: Record<string, string>;
  /** What its caller, its flags or the policy wants. */
  limits: Limits;
  /** What an operator has set since, which goes before `limits`. `null`: nothing. */
  byHand: Limits | null;
  /** What became of the limits in force, the totals of its tenant among them. */
  outcomes: LimitOutcome[];
  cgroup: StoredDirectory[];
  touched: Touched[];
  /** What it had used when it was moved from an earlier cgroup of ours into this one. `null`: it never was. */
  carriedUsage: Usage | null;
  /** Where `run --detach` writes the workload's output. */
  logPath: string | null;
  /** Nothing of ours is left in the system for it. */
  released: boolean;
}

export interface ResultRecord {
  key: string;
  /**
   * `exited`: its end was seen. `detached`: released alive. `unobserved`: it ended while nobody looked.
   * `never_started`: its launcher died before there was a workload.
   */
  ending: "exited" | "detached" | "unobserved" | "never_started";
  startMs: number | null;
  endMs: number;
  exitCode: number | null;
  /** `SIGSEGV`, …; `null` when no signal ended it, or nobody knows. */
  signal: string | null;
  exitEvidence: ExitEvidence | null;
  /** Present exactly when there is no evidence. */
  exitUnknownBecause: string | null;
  slaCompliant: boolean;
  slaReason: string;
  outcomes: LimitOutcome[];
  usage: Usage;
}

/** Who was told by the kernel: the parent (wait), or an observer in one of the ways that it has. */
export type ExitEvidence = "parent" | ObserverEvidence;

export interface EventRecord {
  atMs: number;
  kind: string;
  detail: unknown;
}

type Row = Record<string, string | number | null>;

export function jobToRow(job: JobRecord): Row {
  return {
    key: job.key,
    job_id: job.jobId,
    mode: job.mode,
    state: job.state,
    boot_id: job.bootId,
    pid: job.pid,
    start_ticks: job.startTicks,
    command: JSON.stringify(job.command),
    cwd: job.cwd,
    uid: job.uid,
    created_ms: job.createdMs,
    started_ms: job.startedMs,
    observer_pid: job.observer?.pid ?? null,
    observer_start_ticks: job.observer?.startTicks ?? null,
    intent: job.intent,
    sla_eligible: Number(job.slaEligible),
    tenant: job.tenant,
    labels: JSON.stringify(job.labels),
    limits: JSON.stringify(job.limits),
    outcomes: JSON.stringify(job.outcomes),
    cgroup: JSON.stringify(job.cgroup),
    touched: JSON.stringify(job.touched),
    log_path: job.logPath,
    released: Number(job.released),
    by_hand: job.byHand && JSON.stringify(job.byHand),
    carried_usage: job.carriedUsage && JSON.stringify(job.carriedUsage),
  };
}

export function rowToJob(row: Row): JobRecord {
  const { observer_pid: observerPid, observer_start_ticks: observerStart } = row;
  return {
    key: row["key"] as string,
    jobId: row["job_id"] as string,
    mode: row["mode"] as JobMode,
    state: row["state"] as JobRecord["state"],
    bootId: row["boot_id"] as string,
    pid: row["pid"] as number | null,
    startTicks: row["start_ticks"] as number | null,
    command: fromJson(row["command"]),
    cwd: row["cwd"] as string | null,
    uid: row["uid"] as number | null,
    createdMs: row["created_ms"] as number,
    startedMs: row["started_ms"] as number | null,
    observer:
      observerPid === null ? null : { pid: observerPid as number, startTicks: observerStart as number },
    intent: row["intent"] as string | null,
    slaEligible: row["sla_eligible"] === 1,
    tenant: row["tenant"] as string | null,
    labels: fromJson(row["labels"]),
    limits: fromJson(row["limits"]),
    outcomes: fromJson(row["outcomes"]),
    cgroup: fromJson(row["cgroup"]),
    touched: fromJson(row["touched"]),
    logPath: row["log_path"] as string | null,
    released: row["released"] === 1,
    byHand: row["by_hand"] === null ? null : fromJson(row["by_hand"]),
    carriedUsage: row["carried_usage"] === null ? null : usageFromJson(row["carried_usage"]),
  };
}

export function resultToRow(result: ResultRecord): Row {
  return {
    key: result.key,
    ending: result.ending,
    start_ms: result.startMs,
    end_ms: result.endMs,
    exit_code: result.exitCode,
    signal: result.signal,
    exit_evidence: result.exitEvidence,
    exit_unknown_because: result.exitUnknownBecause,
    sla_compliant: Number(result.slaCompliant),
    sla_reason: result.slaReason,
    outcomes: JSON.stringify(result.outcomes),
    usage: JSON.stringify(result.usage),
  };
}

export function rowToResult(row: Row): ResultRecord {
  return {
    key: row["key"] as string,
    ending: row["ending"] as ResultRecord["ending"],
    startMs: row["start_ms"] as number | null,
    endMs: row["end_ms"] as number,
    exitCode: row["exit_code"] as number | null,
    signal: row["signal"] as string | null,
    exitEvidence: row["exit_evidence"] as ExitEvidence | null,
    exitUnknownBecause: row["exit_unknown_because"] as string | null,
    slaCompliant: row["sla_compliant"] === 1,
    slaReason: row["sla_reason"] as string,
    outcomes: fromJson(row["outcomes"]),
    usage: usageFromJson(row["usage"]),
  };
}

function fromJson<T>(text: string | number | null | undefined): T {
  return JSON.parse(text as string) as T;
}

/** What an older ffrtmp did not measure is unknown. */
function usageFromJson(text: string | number | null | undefined): Usage {
  return { ...UNKNOWN_USAGE, ...fromJson<Partial<Usage>>(text) };
}
