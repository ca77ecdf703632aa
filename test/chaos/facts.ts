import type { GovernorName, Workload } from "./scenario.ts";

/** How something ended. `signal` as the kernel's name: SIGKILL. */
export interface End {
  code: number | null;
  signal: string | null;
}

/** What one process of a workload says about itself. */
export interface OwnRecord {
  begun: { pid: number; startTicks: number } | null;
  /** Signals that came from elsewhere. */
  signalled: string[];
  /** What it was about to do, and when it said so. */
  lastWords: (End & { atMs: number }) | null;
}

export interface WorkloadFacts {
  plan: Workload;
  /** Whether its beginning was certain: its starter was not ended. */
  mustBegin: boolean;
  own: OwnRecord;
  child: OwnRecord | null;
  /** What wait told its parent, where we are the parent. */
  waited: End | null;
  /** It lived when a lasting daemon had come up: from then on somebody has to govern it. */
  mustBeGoverned: boolean;
  /** A governor was seen to hold it before it was allowed to end. `null` when it was over by then, or nobody governed it. */
  wasHeldAtRelease: boolean | null;
  detachAsked: boolean;
}

/** One life of a governor. */
export interface GovernorFacts {
  name: GovernorName;
  pid: number;
  /** Signals that we sent to it, but for SIGCONT. */
  strikes: { signal: string; atMs: number }[];
  /** Processes that it was seen to hold a pidfd of, and when first. */
  held: { pid: number; sinceMs: number }[];
  /** `null` when its parent is not us. */
  exit: End | null;
  /** Its last lines. */
  said: string;
}

export interface ResultFacts {
  ending: string;
  exitCode: number | null;
  signal: string | null;
  evidence: string | null;
  because: string | null;
  endMs: number;
}

export interface JobFacts {
  jobId: string;
  mode: string;
  state: string;
  pid: number | null;
  startTicks: number | null;
  startedMs: number | null;
  /** `null` once it has ended. */
  observerPid: number | null;
  result: ResultFacts | null;
}

/** All that was seen of one round. */
export interface Facts {
  workloads: WorkloadFacts[];
  governors: GovernorFacts[];
  jobs: JobFacts[];
  /** Whether cgroups could be made, so that no process could be taken twice. */
  hasCgroups: boolean;
  cgroupsLeft: string[];
  /** What `PRAGMA integrity_check` answers. */
  integrity: string;
  /** What was waited for in vain. */
  neverHappened: string[];
}
