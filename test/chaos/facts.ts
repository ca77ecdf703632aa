import type { GovernorName, Workload } from "./scenario.ts";

/** The end of a process: an exit code, or the name of a signal such as SIGKILL. */
export interface End {
  code: number | null;
  signal: string | null;
}

/** The record that a process of a workload writes about itself. */
export interface OwnRecord {
  started: { pid: number; startTicks: number } | null;
  /** Signals that the process received and did not send itself. */
  receivedSignals: string[];
  /** The end that the process announced, and the time of the announcement. */
  announcedEnd: (End & { atMs: number }) | null;
}

export interface WorkloadFacts {
  plan: Workload;
  /** True when the workload has to start, because its starter was not killed. */
  mustStart: boolean;
  own: OwnRecord;
  child: OwnRecord | null;
  /** The end that wait reported, when the test is the parent. */
  endSeenByParent: End | null;
  /** True for a target that was running when the last daemon had started, which has to govern it. */
  mustBeGoverned: boolean;
  /**
   * True when a governor had a pidfd of the process before its end. `null` when it had ended or was not
   * governed.
   */
  wasObservedAtRelease: boolean | null;
  detachRequested: boolean;
}

/** A process of ffrtmp. */
export interface GovernorFacts {
  name: GovernorName;
  pid: number;
  /** Signals that the test sent to it, except SIGCONT. */
  signals: { signal: string; atMs: number }[];
  /** Processes of which it had a pidfd, and since when. */
  pidfds: { pid: number; sinceMs: number }[];
  /** `null` when the test is not its parent. */
  exit: End | null;
  /** The last lines of its output. */
  output: string;
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
  /** `null` once the job has ended. */
  observerPid: number | null;
  /** The background copy of `run -d` handed the job over to a daemon, and left. */
  handedOver: boolean;
  /** The processes that took the job over. */
  adoptedBy: number[];
  result: ResultFacts | null;
}

/** All observations of a round. */
export interface Facts {
  workloads: WorkloadFacts[];
  governors: GovernorFacts[];
  jobs: JobFacts[];
  /** True when ffrtmp could make cgroups, so that no process can be governed twice. */
  hasCgroups: boolean;
  cgroupsLeft: string[];
  /** The answer of `PRAGMA integrity_check`. */
  integrity: string;
  /** The conditions that did not become true in time. */
  timedOut: string[];
}
