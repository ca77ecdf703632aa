import type { LimitLayer, Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { Usage } from "../../limits/usage.ts";
import type { JobLocation } from "../../linux/cgroup/jobCgroup.ts";
import type { Change } from "../../linux/change.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";

/** The command that brought a job under governance. */
export type JobMode = "run" | "attach" | "watch";

export interface JobFields {
  /** Identifies the job permanently; sorts by creation. A job id can be used again after its job has ended. */
  readonly key: string;
  readonly jobId: string;
  readonly mode: JobMode;
  readonly command: readonly string[];
  /** The command has more words than `command`, or its last word is longer. */
  readonly commandCut: boolean;
  readonly cwd: string | null;
  readonly uid: number | null;
  readonly createdMs: number;
  /** The purpose of the job, in the operator's word. */
  readonly intent: string | null;
  readonly slaEligible: boolean;
  readonly tenant: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Limits from the command line or the policy. */
  readonly limits: Readonly<Limits>;
  /** Limits that an operator set or cancelled later; they override `limits`. */
  readonly byHand: LimitLayer | null;
  /** Results of applying the limits, those of the tenant's total included. */
  readonly outcomes: readonly LimitOutcome[];
  readonly cgroup: readonly JobLocation[];
  /** The journal: the changes to the machine that are undone when the job is detached or has ended. */
  readonly changes: readonly Change[];
  /** Usage counted in the cgroups that the job was moved out of. `null`: it was never moved. */
  readonly carriedUsage: Usage | null;
  /** The file with the workload's output under `run --detach`. */
  readonly logPath: string | null;
  /**
   * The part of the policy that chose the process: `rule NAME` or `target_commands`. `null`: no policy, or an earlier release.
   */
  readonly decidedBy: string | null;
}

/** A job that is recorded before anything is done for it. */
export interface StartingJob extends JobFields {
  readonly state: "starting";
  /** The ffrtmp that starts the job. */
  readonly observer: ProcessIdentity;
  /** Known from the start for a process that runs already; `null` for `run`, which has not spawned it yet. */
  readonly process: ProcessIdentity | null;
}

export interface RunningJob extends JobFields {
  readonly state: "running";
  readonly process: ProcessIdentity;
  /** The time when governing started. */
  readonly startedMs: number;
  /** CLOCK_BOOTTIME at `startedMs`. `null`: an earlier release recorded the start. */
  readonly startedBootMs: number | null;
  /** The ffrtmp that will record the job's end. `null`: none. */
  readonly observer: ProcessIdentity | null;
}

export interface EndedJob extends JobFields {
  readonly state: "ended";
  /** `null` for a job that never had a process. */
  readonly process: ProcessIdentity | null;
  readonly startedMs: number | null;
  readonly startedBootMs: number | null;
  /** The job has left nothing in the system that ffrtmp must still remove. */
  readonly cleanedUp: boolean;
}

export type OpenJob = StartingJob | RunningJob;
export type Job = OpenJob | EndedJob;

export function toRunning(
  job: StartingJob,
  start: Pick<RunningJob, "process" | "startedMs" | "startedBootMs">,
): RunningJob {
  return { ...job, state: "running", ...start };
}

export function toEnded(job: OpenJob): EndedJob {
  const { observer: _, ...rest } = job;
  const startedBootMs = job.state === "running" ? job.startedBootMs : null;
  return { ...rest, state: "ended", startedMs: startedMsOf(job), startedBootMs, cleanedUp: false };
}

export function isOpen(job: Job): job is OpenJob {
  return job.state !== "ended";
}

/** Returns the boot that the job belongs to: that of its process, or of the ffrtmp that starts it. */
export function bootIdOf(job: OpenJob): string {
  return job.state === "running" ? job.process.bootId : (job.process ?? job.observer).bootId;
}

export function observerOf(job: Job): ProcessIdentity | null {
  return job.state === "ended" ? null : job.observer;
}

export function startedMsOf(job: Job): number | null {
  return job.state === "starting" ? null : job.startedMs;
}

export function isSameProcess(a: ProcessIdentity | null, b: ProcessIdentity): boolean {
  return a !== null && a.bootId === b.bootId && a.pid === b.pid && a.startTicks === b.startTicks;
}
