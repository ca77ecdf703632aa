import type { LimitRepair } from "../jobs/limits/enforceLimits.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { EndedJob, Job, OpenJob, RunningJob } from "../jobs/model/job.ts";
import type { Pruned } from "../ledger/prune.ts";
import type { StartedEvents } from "../linux/events/bestEvents.ts";
import type { EventSource } from "../linux/events/processEvents.ts";
import type { GovernedQuota } from "../metrics/governor/state.ts";
import type { Hindrance } from "../metrics/hindrance/hindrance.ts";
import type { JobShares } from "../metrics/shares/jobShares.ts";
import type { Shortfall } from "../metrics/shares/shortfall.ts";
import type { FleetPolicyReport, PolicyStore } from "./policyStore.ts";
import type { DaemonCounts } from "./status.ts";

export type LoadedPolicy = Pick<PolicyStore, "policy" | "path" | "warnings">;

type StartedSource = { source: EventSource } & Pick<StartedEvents, "unavailable">;

interface EventFacts {
  /** Process events arrive from now on. */
  "daemon-started": LoadedPolicy & StartedSource & { ledgerPath: string };
  /** `signal`: its name, or `--once`. */
  "daemon-stopping": { signal: string };
  "daemon-stopped": { counts: DaemonCounts };
  "visibility-limited": { found: string; consequence: string | undefined };
  /** The daemon keeps the scheduling that it was started with. `reason`: a clause, or the errno. */
  "realtime-refused": { reason: string };
  "event-source-changed": StartedSource;
  "event-source-failed": { source: EventSource; reason: string };
  /** The kernel dropped process events; a scan of all processes follows. `dropped` counts since the start. */
  "events-lost": { reason: string; dropped: DaemonCounts["dropped"] };
  /** There are too few file descriptors; `reason` is the errno. What was postponed is tried again. */
  "work-postponed": { reason: string };
  /** Clients had too many connections to the web server, and all were ended. `count` is that since the start. */
  "connections-ended": { count: number };
  /** A request to the web server failed by a fault of ffrtmp. At most once a minute. */
  "request-failed": { route: string; reason: string };
  /** Other ffrtmp processes cannot reach this daemon. */
  "control-socket-failed": { reason: string };
  /** `changes`: the differences from the policy before, each a line of text. */
  "policy-loaded": LoadedPolicy & { trigger: string; changes: readonly string[] };
  /** The policy that the hub of the fleet has sent is another one than before, or something else became of it. */
  "fleet-policy": { report: FleetPolicyReport };
  /** The policy file has errors, and the previous policy stays in force. */
  "policy-rejected": { trigger: string; path: string | undefined; faults: readonly string[] };
  /**
   * A scan found a process that the policy chose, and no event had reported it. `isFiltered`: the kernel dropped the event,
   * because of the name of the executed file.
   */
  "process-found-by-scan": { pid: number; isFiltered: boolean };
  /** The policy chose a process, and it is not governed. Once for each process. */
  "not-governed": { pid: number; target: string; reason: string };
  /** A fact of a process cannot be part of a tenant's name. Another rule decided, without this tenant. Once for each process. */
  "tenant-refused": { pid: number; comm: string; reason: string };
  /** A fact of a process could not be read in time, and the policy decides without it. */
  "facts-late": { pid: number };
  /** `target` is the command that the process was recognized as; without a `rule`, as a target command. */
  "job-attached": { job: RunningJob; target: string; rule: string | undefined };
  "job-taken-over": { job: RunningJob };
  /** The observer of the job asked this daemon to observe it, and leaves. */
  "job-handed-over": { job: RunningJob };
  /** `isChosenOnly`: another part of the policy chooses the process, and asks for the same. */
  "job-changed-by-policy": { job: RunningJob; isChosenOnly: boolean };
  "job-released-by-policy": { job: RunningJob };
  /** The policy no longer asks for the job, and a daemon that starts leaves it as it is. */
  "job-kept-by-policy": { job: RunningJob };
  "job-reconcile-failed": { job: RunningJob; reason: string };
  "limit-repaired": { job: RunningJob; repair: LimitRepair };
  /**
   * The headroom governor has set CPU quotas, or would set them. At once for a job that had none, and else at most every 10 s.
   * `leftCores`: what the quotas divide. `isNew`: a job has got its first one.
   */
  "quotas-governed": {
    isDryRun: boolean;
    isNew: boolean;
    leftCores: number;
    cores: number;
    quotas: readonly GovernedQuota[];
  };
  /** The governor has removed its quota from a job. */
  "quota-lifted": { job: RunningJob; reason: string };
  /** A job that needs more than it is sure of, once until that is over. */
  "job-short-of-cpu": { job: RunningJob; shortfall: Shortfall };
  /** It is sure of its need again, or one of the two is not known any more. */
  "job-no-longer-short-of-cpu": { job: RunningJob; shares: JobShares };
  "job-ended": { job: Job; result: JobResult };
  /** Something has held the job back for 30 s. */
  "job-held-back": { job: RunningJob; hindrance: Hindrance };
  /** It does so no more, since 30 s. `hindrance`: as it was said last. */
  "job-no-longer-held-back": { job: RunningJob; hindrance: Hindrance };
  /** A job ended, and processes that it started run on in its cgroup. */
  "job-left-processes": { job: OpenJob; pids: number[] };
  /** The last process that an ended job had left is gone, and so is the job's cgroup. */
  "job-cleaned-up": { job: EndedJob };
  /** The command of `on_end` has ended after the end of a job. `failure`: it did not exit with code 0. */
  "hook-ended": { jobId: string; failure: string | null; output: string };
  /** The command of `on_end` was not run for a job. `dropped` counts since the start. */
  "hook-dropped": { jobId: string; reason: string; dropped: number };
  /** The command of `on_end` cannot be run any more, or not yet. */
  "hook-unavailable": { reason: string };
  /** The network, media time and GPUs of jobs, and what depends on them, are not measured any more. */
  "meter-unavailable": { reason: string };
  "history-pruned": { pruned: Pruned };
  "history-prune-failed": { reason: string };
  /** The state of the daemon after it started, reloaded its policy or reconciled. `jobs` are observed. */
  counted: { jobs: number; source: EventSource; isPolicyValid: boolean; counts: DaemonCounts };
}

export type EventKind = keyof EventFacts;
export type DaemonEvent<Kind extends EventKind = EventKind> = {
  [K in Kind]: { kind: K } & EventFacts[K];
}[Kind];

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
