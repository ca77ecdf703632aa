import type { Context } from "../jobs/context.ts";
import { withGateLock } from "../jobs/gateLock.ts";
import { hasClosedGate } from "../jobs/limits/gates.ts";
import {
  addGovernorEvent,
  forgetGovernedQuota,
  liftGovernedQuota,
  setGovernedQuota,
} from "../jobs/limits/governedQuota.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { governedQuotaOf, readGovernedQuota } from "../jobs/placement/foundQuota.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { isIntent } from "../limits/intents.ts";
import type { JobCgroup } from "../linux/cgroup/jobCgroup.ts";
import { cpuTimeReader } from "../linux/cgroup/jobCounters.ts";
import { decideQuotas, leftCoresOf, type QuotaJob } from "../metrics/governor/model.ts";
import { type BatchUse, SharedCpus } from "../metrics/governor/sharedCpus.ts";
import type { GovernorState } from "../metrics/governor/state.ts";
import { headroomCores } from "../policy/governor.ts";
import type { Policy } from "../policy/policy.ts";
import type { DaemonScheduling } from "./daemonScheduling.ts";
import type { DaemonEvent, DaemonEvents } from "./events.ts";
import type { PostponedWork } from "./postponedWork.ts";

/** The time between two samples, each of which is a step. */
const STEP_MS = 500;
const REPORT_INTERVAL_MS = 10_000;
const HOUR_MS = 3_600_000;
/** The time for which a job is left alone after the kernel has refused its quota. */
const REFUSED_PAUSE_MS = 60_000;
/** How often a quota that was changed from outside is set again within an hour, before the job is left alone for an hour. */
const MAX_REPAIRS_PER_HOUR = 3;

type GovernorContext = Context & {
  readonly store: { readonly policy: Pick<Policy, "governor"> };
  readonly bus: DaemonEvents;
  readonly postponed: Pick<PostponedWork, "attempt">;
  readonly scheduling: Pick<DaemonScheduling, "inBackground">;
};

interface Options {
  /** Gets each job whose record has changed. */
  onChange(job: RunningJob): void;
  stepMs?: number;
}

interface Place {
  readonly record: Pick<RunningJob, "cgroup" | "changes">;
  readonly cgroup: JobCgroup;
  /** Its directory in the hierarchy of the cpu controller; empty without one. */
  readonly cpuPath: string;
  readonly readUsec: () => number | null;
}

/**
 * Gives CPU quotas to the batch jobs whose weight does not count against live jobs, from what all others leave. Runs while the
 * policy asks for it and there is such a job. The quotas stay when this daemon dies, and are recorded: the next one takes them
 * over, or lifts them where the policy asks for none.
 */
export class HeadroomGovernor {
  readonly #context: GovernorContext;
  readonly #options: Options;
  #shared: SharedCpus;
  #timer: ReturnType<typeof setInterval> | undefined;
  readonly #places = new Map<string, Place>();
  /** The quotas that a dry run would have set, by the key of the job. */
  readonly #imagined = new Map<string, number | null>();
  /** When the quota of a job was found changed from outside, in ms of CLOCK_BOOTTIME. */
  readonly #changedMs = new Map<string, number[]>();
  /** When a job whose quota the kernel refused may be tried again, in ms of CLOCK_BOOTTIME. */
  readonly #pausedUntilMs = new Map<string, number>();
  /** The jobs that are known to be held. At a ceiling, a quota comes and goes. */
  readonly #announced = new Set<string>();
  #state: GovernorState | undefined;
  #reportedMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(context: GovernorContext, options: Options) {
    this.#context = context;
    this.#options = options;
    this.#shared = new SharedCpus(context.host, context.hierarchies);
  }

  /** `undefined` while it does nothing. */
  state(): GovernorState | undefined {
    return this.#state;
  }

  /** Lifts the quotas that are not wanted any more, and starts or ends the steps. Call it when gates and policy are applied. */
  check(): void {
    if (this.#isStopped) return;
    const mode = this.#context.store.policy.governor?.mode;
    const running = this.#runningJobs();
    for (const job of running) {
      if (governedQuotaOf(job) === undefined) continue;
      const reason = mode === "on" ? whyNotGoverned(job) : "the policy has no governor that is on";
      if (reason !== undefined) this.#release(job, reason);
    }
    const jobs = running.filter(isBatch);
    const keys = new Set(jobs.map(({ key }) => key));
    for (const known of [this.#imagined, this.#changedMs, this.#pausedUntilMs, this.#announced])
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    if (mode === undefined || !jobs.some(hasClosedGate)) this.#rest();
    else this.#timer ??= this.#start();
  }

  stop(): void {
    this.#isStopped = true;
    this.#rest();
  }

  #start(): ReturnType<typeof setInterval> {
    const { scheduling, postponed } = this.#context;
    const step = () => scheduling.inBackground(() => postponed.attempt(() => this.step()));
    return setInterval(step, this.#options.stepMs ?? STEP_MS);
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#shared = new SharedCpus(this.#context.host, this.#context.hierarchies);
    this.#places.clear();
    this.#imagined.clear();
    this.#announced.clear();
    this.#state = undefined;
  }

  /**
   * Those with an intent, or with a quota from when they had one, as they are recorded: another process may have changed
   * them.
   */
  #runningJobs(): RunningJob[] {
    return this.#context.ledger.openJobsWithIntent().filter((job) => job.state === "running");
  }

  /** Takes a sample, and sets the quotas by it. A timer calls this. */
  step(): void {
    const { governor } = this.#context.store.policy;
    if (governor === undefined) return;
    const batch = this.#runningJobs().filter(isBatch);
    this.#shared.read(this.#usesOf(batch));
    const isDryRun = governor.mode === "dry-run";
    const jobs = batch.filter(hasClosedGate).flatMap((job) => {
      const quotaJob = this.#quotaJobOf(job, isDryRun);
      return quotaJob === undefined ? [] : [{ ...quotaJob, job }];
    });
    const shared = this.#shared.cores((cores) => headroomCores(governor.headroom, cores));
    const { othersCores } = shared;
    const leftCores = leftCoresOf(shared);
    if (jobs.length === 0 || othersCores === null || leftCores === null) return;
    const cores = Math.min(shared.cores, ...shared.around.map((each) => each.cores));
    const decision = decideQuotas({ ...shared, jobs });
    const decided = "because" in decision ? new Map<string, number | null>() : decision.quotas;
    const reason = `governed: ${leftCores.toFixed(1)} cores left of ${cores}`;
    const isNew = decided.keys().some((key) => !this.#announced.has(key));
    for (const { key, job } of jobs) {
      const quota = decided.get(key);
      if (quota === undefined) continue;
      if (isDryRun) {
        this.#imagined.set(key, quota);
        this.#announced.add(key);
      }
      // Another one is as tight.
      else if (quota === null) this.#lift(job);
      else this.#set(job, quota, reason);
    }
    const quotas = jobs.map(({ key, job: { jobId }, quotaCores }) => {
      const quota = decided.get(key);
      return { jobId, quotaCores: quota === undefined ? quotaCores : quota };
    });
    this.#state = { mode: governor.mode, leftCores, othersCores, quotas };
    if (decided.size === 0) return;
    this.#report({ isDryRun, isNew, leftCores, cores, quotas });
  }

  /** `null`: the use of a job is not known. */
  #usesOf(batch: readonly RunningJob[]): BatchUse[] | null {
    const uses: BatchUse[] = [];
    for (const job of batch) {
      const { cpuPath, readUsec } = this.#placeOf(job);
      const usec = readUsec();
      if (usec === null) return null;
      const { key, process } = job;
      uses.push({ key, pid: process.pid, path: cpuPath, usec, hasClosedGate: hasClosedGate(job) });
    }
    const keys = new Set(uses.map(({ key }) => key));
    for (const key of this.#places.keys()) if (!keys.has(key)) this.#places.delete(key);
    return uses;
  }

  /** Finding a cgroup takes longer than reading it. */
  #placeOf(job: RunningJob): Place {
    const record = { cgroup: job.cgroup, changes: job.changes };
    const known = this.#places.get(job.key);
    if (known !== undefined && Bun.deepEquals(known.record, record)) return known;
    const cgroup = jobCgroupOf(this.#context, job);
    const directory = cgroup.directories.find(({ hierarchy }) => hierarchy.controllers.includes("cpu"));
    const place = { record, cgroup, cpuPath: directory?.path ?? "", readUsec: cpuTimeReader(cgroup) };
    this.#places.set(job.key, place);
    return place;
  }

  /** Returns `undefined` for a job that gets no quota now. */
  #quotaJobOf(job: RunningJob, isDryRun: boolean): QuotaJob | undefined {
    const found = readGovernedQuota(job, this.#placeOf(job).cgroup);
    const isPaused = this.#context.host.bootNow() < (this.#pausedUntilMs.get(job.key) ?? 0);
    if (found === "unavailable" || isPaused || this.#isLeftAlone(job.key)) return undefined;
    if ("found" in found) {
      this.#handleChange(job, found);
      return undefined;
    }
    // A daemon before this one has begun.
    if (found.quotaCores !== null) this.#announced.add(job.key);
    const quotaCores = isDryRun ? (this.#imagined.get(job.key) ?? null) : found.quotaCores;
    return {
      key: job.key,
      useCores: this.#shared.useOf(job.key),
      quotaCores,
      ceilingCores: found.ceilingCores,
    };
  }

  /** An operator who writes another quota means it, and the governor does not fight over it. */
  #handleChange(job: RunningJob, { wanted, found }: { wanted: string; found: string }): void {
    const { host, ledger, bus } = this.#context;
    const forgotten = forgetGovernedQuota(this.#context, job);
    if (forgotten === undefined) return;
    this.#options.onChange(forgotten);
    const nowMs = host.bootNow();
    const earlier = (this.#changedMs.get(job.key) ?? []).filter((atMs) => nowMs - atMs < HOUR_MS);
    this.#changedMs.set(job.key, [...earlier, nowMs]);
    if (earlier.length + 1 < MAX_REPAIRS_PER_HOUR) return;
    const drift = { what: "governor's cpu.max", wanted, found } as const;
    ledger.addEvent(job, { atMs: host.now(), atBootMs: nowMs, kind: "left_alone", detail: drift });
    bus.emit({ kind: "limit-repaired", job, repair: { ...drift, did: "left_alone" } });
  }

  #isLeftAlone(key: string): boolean {
    const times = this.#changedMs.get(key) ?? [];
    const last = times.at(-1);
    if (last === undefined || times.length < MAX_REPAIRS_PER_HOUR) return false;
    if (this.#context.host.bootNow() - last < HOUR_MS) return true;
    this.#changedMs.delete(key);
    return false;
  }

  #set(job: RunningJob, quotaCores: number, because: string): void {
    const changed = setGovernedQuota(this.#context, job, quotaCores, because);
    if (changed === undefined) return;
    this.#options.onChange(changed);
    if (governedQuotaOf(changed) === undefined)
      this.#pausedUntilMs.set(job.key, this.#context.host.bootNow() + REFUSED_PAUSE_MS);
    else if (!this.#announced.has(job.key)) addGovernorEvent(this.#context, changed, because);
    this.#announced.add(job.key);
  }

  /** Returns `undefined`, having done nothing, while another process changes gates or limits: the next step tries again. */
  #lift(job: RunningJob, reason?: string): RunningJob | undefined {
    const lifted = withGateLock(this.#context, () => liftGovernedQuota(this.#context, job, reason));
    if (lifted === "busy") return undefined;
    this.#options.onChange(lifted);
    return lifted;
  }

  #release(job: RunningJob, reason: string): void {
    const lifted = this.#lift(job, reason);
    if (lifted === undefined) return;
    this.#announced.delete(job.key);
    if (governedQuotaOf(lifted) === undefined)
      this.#context.bus.emit({ kind: "quota-lifted", job: lifted, reason });
  }

  #report(facts: Omit<DaemonEvent<"quotas-governed">, "kind">): void {
    const nowMs = performance.now();
    if (!facts.isNew && nowMs - this.#reportedMs < REPORT_INTERVAL_MS) return;
    this.#reportedMs = nowMs;
    this.#context.bus.emit({ kind: "quotas-governed", ...facts });
  }
}

function isBatch({ intent }: RunningJob): boolean {
  return isIntent(intent) && intent !== "live";
}

function whyNotGoverned(job: RunningJob): string | undefined {
  if (!isBatch(job)) return "it is no batch job any more";
  return hasClosedGate(job) ? undefined : "its weight counts against all live jobs, or there is none";
}
