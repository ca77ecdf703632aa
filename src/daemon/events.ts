import type { LimitRepair } from "../jobs/limits/enforceLimits.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { EndedJob, OpenJob, RunningJob } from "../jobs/model/job.ts";
import type { EventSource } from "../linux/events/processEvents.ts";
import type { Policy } from "../policy/policy.ts";
import type { DaemonCounts } from "./status.ts";

/** A policy that the daemon follows, and where it was read. */
export interface LoadedPolicy {
  policy: Policy;
  /** `undefined`: it comes from the command line. */
  path: string | undefined;
  /** Likely mistakes in it. */
  warnings: readonly string[];
}

/** Everything that a daemon reports of its work, while it works. */
export type DaemonEvent =
  | DaemonStarted
  | DaemonStopping
  | DaemonStopped
  | VisibilityLimited
  | EventSourceChanged
  | EventSourceFailed
  | EventsLost
  | PolicyLoaded
  | PolicyRejected
  | ProcessFoundByScan
  | AttachFailed
  | JobAttached
  | JobTakenOver
  | JobChangedByPolicy
  | JobReleasedByPolicy
  | JobKeptByPolicy
  | JobReconcileFailed
  | LimitRepaired
  | JobEnded
  | JobLeftProcesses
  | JobCleanedUp
  | Counted;

/** Process events arrive from now on. */
interface DaemonStarted extends LoadedPolicy {
  kind: "daemon-started";
  source: EventSource;
  /** Why each better event source cannot be used. */
  unavailable: readonly string[];
  ledgerPath: string;
}

interface DaemonStopping {
  kind: "daemon-stopping";
  signal: string;
}

interface DaemonStopped {
  kind: "daemon-stopped";
  counts: DaemonCounts;
}

/** A part of the machine that this daemon cannot see. */
interface VisibilityLimited {
  kind: "visibility-limited";
  found: string;
  consequence: string | undefined;
}

interface EventSourceChanged {
  kind: "event-source-changed";
  source: EventSource;
  unavailable: readonly string[];
}

interface EventSourceFailed {
  kind: "event-source-failed";
  source: EventSource;
  reason: string;
}

/** The kernel dropped process events; a scan of all processes follows. */
interface EventsLost {
  kind: "events-lost";
  reason: string;
  /** Since the start of the daemon. `null` where the kernel does not count them. */
  dropped: number | null;
}

interface PolicyLoaded extends LoadedPolicy {
  kind: "policy-loaded";
  trigger: string;
}

/** The policy file has errors, and the previous policy stays in force. */
interface PolicyRejected {
  kind: "policy-rejected";
  trigger: string;
  path: string | undefined;
  faults: readonly string[];
}

/** A scan found a process that the policy chose, and no event had reported it. */
interface ProcessFoundByScan {
  kind: "process-found-by-scan";
  pid: number;
}

/** The policy chose an eligible process, and governing it failed. */
interface AttachFailed {
  kind: "attach-failed";
  pid: number;
  target: string;
  reason: string;
}

interface JobAttached {
  kind: "job-attached";
  job: RunningJob;
  /** The command that the process was recognized as. */
  target: string;
  /** `undefined`: it was governed as one of the target commands. */
  rule: string | undefined;
}

/** The observer of a job is gone, and this daemon is its observer now. */
interface JobTakenOver {
  kind: "job-taken-over";
  job: RunningJob;
}

interface JobChangedByPolicy {
  kind: "job-changed-by-policy";
  job: RunningJob;
}

interface JobReleasedByPolicy {
  kind: "job-released-by-policy";
  job: RunningJob;
}

/** The policy no longer asks for the job, and a daemon that starts leaves it as it is. */
interface JobKeptByPolicy {
  kind: "job-kept-by-policy";
  job: RunningJob;
}

interface JobReconcileFailed {
  kind: "job-reconcile-failed";
  job: RunningJob;
  reason: string;
}

/** Another program undid a limit of a job. */
interface LimitRepaired {
  kind: "limit-repaired";
  job: RunningJob;
  repair: LimitRepair;
}

interface JobEnded {
  kind: "job-ended";
  job: OpenJob;
  result: JobResult;
}

/** A job ended, and processes that it started run on in its cgroup. */
interface JobLeftProcesses {
  kind: "job-left-processes";
  job: OpenJob;
  pids: readonly number[];
}

/** The last process that an ended job had left is gone, and so is the job's cgroup. */
interface JobCleanedUp {
  kind: "job-cleaned-up";
  job: EndedJob;
}

/** The state of the daemon after it started, reloaded its policy or reconciled. */
interface Counted {
  kind: "counted";
  /** Processes that are observed. */
  jobs: number;
  counts: DaemonCounts;
}

/** Hands each event to every subscriber, in the order of their subscriptions, before `emit` returns. */
export class DaemonEvents {
  readonly #subscribers = new Set<(event: DaemonEvent) => void>();

  /** Returns a function that ends the subscription. */
  subscribe(subscriber: (event: DaemonEvent) => void): () => void {
    this.#subscribers.add(subscriber);
    return () => void this.#subscribers.delete(subscriber);
  }

  emit(event: DaemonEvent): void {
    for (const subscriber of this.#subscribers) subscriber(event);
  }
}
