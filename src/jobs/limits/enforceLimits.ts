import { type Limits, pickLimits } from "../../limits/limits.ts";
import { isInForce, type LimitOutcome, refusedInstead } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";
import { type Usage, withUnknown } from "../../limits/usage.ts";
import { backendOf } from "../../linux/cgroup/backends.ts";
import { hasOnlyCompanions } from "../../linux/cgroup/companion.ts";
import { listLimitDrift } from "../../linux/cgroup/effectiveLimits.ts";
import { directoryOf, readMembership } from "../../linux/cgroup/hierarchies.ts";
import { type JobCgroup, tenantCgroupOf } from "../../linux/cgroup/jobCgroup.ts";
import { applyCgroupLimits, applyTenantLimits } from "../../linux/cgroup/jobLimits.ts";
import { recordOwnersValues, recordWritten } from "../../linux/cgroup/ownerFiles.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { hasEnded, readStat } from "../../linux/proc/stat.ts";
import { listTree } from "../../linux/proc/table.ts";
import { recordCgroup } from "../changes.ts";
import type { Context } from "../context.ts";
import { limitsInForce } from "../job.ts";
import type { RunningJob } from "../model/job.ts";
import { type Drift, type DriftEvent, type DriftKind, isDriftEvent } from "../model/jobEvent.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { type LeftOutside, moveTreeIntoCgroup, withdrawFromOutsiders } from "../placement/moveTree.ts";

/**
 * How often a limit is applied again within an hour before it is left alone for an hour. An operator who writes another
 * value means it, and ffrtmp does not fight over it. A controller that is gone with its limit says nothing about the
 * limit: systemd disables it for every unit of a slice when a unit there ends that needed it.
 */
const MAX_REPAIRS_PER_HOUR = { reapplied: 3, given_again: 60, repair_refused: Infinity, left_alone: 1 };
const HOUR_MS = 3_600_000;

/**
 * The first wait after the kernel refused a repair; each further wait is twice as long, up to an hour. A refusal can last
 * for an instant, while systemd disables and enables controllers, or for as long as a mount is read-only.
 */
const MIN_RETRY_MS = 1000;

export type LimitRepair = Drift & { readonly did: DriftKind };

/** The job as it is recorded after its limits were enforced, and the repairs that are worth a log line. */
export interface Enforcement {
  job: RunningJob;
  repairs: LimitRepair[];
}

/**
 * Compares the recorded limits of a job, and the `total` of its tenant, with those that the kernel has now. Applies again
 * what was changed from outside: by an operator, by systemd that disabled a controller, by a move of a process. Each time
 * is an event. A limit that changes more often than MAX_REPAIRS_PER_HOUR is left alone for an hour; its outcome says so,
 * and it is reported once. So is a repair that the kernel refuses, which is tried again. Safe to call at any time.
 */
export function enforceLimits(context: Context, job: RunningJob, total: Limits = {}): Enforcement {
  return job.cgroup.length === 0 ? { job, repairs: [] } : new Enforcer(context, job).enforce(total);
}

class Enforcer {
  readonly #context: Context;
  readonly #job: RunningJob;
  readonly #cgroup: JobCgroup;
  readonly #repairs: LimitRepair[] = [];
  /** The counters that restarted at 0 with their controllers, so that their earlier values are lost. */
  readonly #resetCounters: (keyof Usage)[] = [];
  #outcomes: readonly LimitOutcome[];
  #events: DriftEvent[] | undefined;

  constructor(context: Context, job: RunningJob) {
    this.#context = context;
    this.#job = job;
    this.#cgroup = jobCgroupOf(context, job);
    this.#outcomes = job.outcomes;
  }

  enforce(total: Limits): Enforcement {
    this.#enforceLimits(total, "tenant");
    this.#enforceLimits(limitsInForce(this.#job), undefined);
    if (this.#job.process.bootId === this.#context.bootId) this.#enforceMembership(this.#job.process);
    const { ledger } = this.#context;
    let job = this.#job;
    if (this.#resetCounters.length > 0)
      job = ledger.recordCarriedUsage(job, withUnknown(job.carriedUsage, this.#resetCounters));
    if (this.#repairs.length > 0) job = recordCgroup(this.#context, job, this.#cgroup);
    if (JSON.stringify(this.#outcomes) !== JSON.stringify(job.outcomes))
      job = ledger.recordOutcomes(job, this.#outcomes);
    return { job, repairs: this.#repairs };
  }

  /** `of`: the limits are those of the job's own cgroup, or the total of its tenant. */
  #enforceLimits(limits: Limits, of: LimitOutcome["of"]): void {
    const isTenant = of === "tenant";
    const drifts = new Map<LimitName, LimitRepair>();
    for (const drift of listLimitDrift(isTenant ? tenantCgroupOf(this.#cgroup) : this.#cgroup, limits)) {
      const { limit, wanted, found } = drift;
      const did = drift.isControllerGone ? "given_again" : "reapplied";
      const repair: LimitRepair = { what: isTenant ? `tenant's ${limit}` : limit, did, wanted, found };
      const outcome = this.#outcomes.find((each) => each.of === of && each.limit === limit);
      const isDue = this.#isForgiven(repair) || this.#countRefusals(repair) > 0;
      if (outcome && (isInForce(outcome) || isDue) && !this.#isWaiting(repair)) drifts.set(limit, repair);
    }
    // Only these: a limit that was given up stays so when another one is applied again.
    const repairable = [...drifts].filter(([, repair]) => !this.#isGivenUp(repair)).map(([limit]) => limit);
    const renewed = repairable.length === 0 ? [] : this.#applyAgain(pickLimits(limits, repairable), of);
    this.#outcomes = this.#outcomes.map((outcome) => {
      const repair = outcome.of === of ? drifts.get(outcome.limit) : undefined;
      if (!repair) return outcome;
      const now = renewed.find(({ limit }) => limit === outcome.limit);
      if (!now) return this.#leaveAlone(outcome, repair);
      // The kernel has the same value as after the first write: it never took more, and nothing was changed from outside.
      if (now.outcome === "partial" && now.actual === outcome.actual) return outcome;
      this.#record(isInForce(now) ? repair : { ...repair, did: "repair_refused" });
      return now.outcome === "applied" && outcome.outcome === "partial"
        ? { ...outcome, ...now, outcome: "partial", because: outcome.because }
        : now;
    });
  }

  #applyAgain(limits: Limits, of: LimitOutcome["of"]): LimitOutcome[] {
    const cgroup = this.#cgroup;
    for (const directory of cgroup.directories) {
      if (hasOnlyCompanions(directory.hierarchy)) continue;
      const backend = backendOf(directory.hierarchy);
      this.#resetCounters.push(...backend.restoreControllers(cgroup, directory, limits));
    }
    if (of === "tenant") return applyTenantLimits(cgroup, limits);
    // Recorded before the write: the owner's value that it replaces.
    if (recordOwnersValues(cgroup, limits)) recordCgroup(this.#context, this.#job, cgroup);
    const outcomes = applyCgroupLimits(cgroup, limits);
    // Only the files of these limits: the owner may have written to another one a moment ago.
    recordWritten(cgroup, limits);
    return outcomes;
  }

  #leaveAlone(outcome: LimitOutcome, { did, ...drift }: LimitRepair): LimitOutcome {
    this.#record({ ...drift, did: "left_alone" });
    const because = `it was set to ${drift.found} from outside; it was applied again ${MAX_REPAIRS_PER_HOUR[did]} times within an hour and is left alone for an hour now`;
    return { ...refusedInstead(outcome, because), actual: drift.found };
  }

  /** Moves processes back only from their origin: a process in any other cgroup may be limited there. */
  #enforceMembership(root: ProcessIdentity): void {
    const { host } = this.#context;
    const cgroup = this.#cgroup;
    let strays = listStrays(host, cgroup, root);
    if (strays.some(({ isAtOrigin }) => isAtOrigin)) {
      const repair: LimitRepair = {
        what: "membership",
        did: "reapplied",
        wanted: cgroup.directories.map(({ path }) => path).join(", "),
        found: [...new Set(strays.map(({ pid, because }) => `PID ${pid}: ${because}`))].join("; "),
      };
      if (this.#isGivenUp(repair)) {
        this.#record({ ...repair, did: "left_alone" });
      } else {
        const { leftOutside } = moveTreeIntoCgroup(host, cgroup, root);
        this.#record(repair);
        strays = listStrays(host, cgroup, root).map((stray) => {
          const refusal = leftOutside.find(
            ({ pid, controllers }) => pid === stray.pid && controllers.join() === stray.controllers.join(),
          );
          return stray.isAtOrigin && refusal ? { ...stray, because: refusal.because } : stray;
        });
      }
    }
    if (strays.length > 0) this.#outcomes = withdrawFromOutsiders(this.#outcomes, cgroup, root.pid, strays);
  }

  #isGivenUp(repair: LimitRepair): boolean {
    return this.#isOverLimit(repair) || this.#isOverLimit(repair, "left_alone");
  }

  /** It was given up more than an hour ago, and is worth another try. */
  #isForgiven(repair: LimitRepair): boolean {
    return this.#isOverLimit(repair, "left_alone", Infinity) && !this.#isOverLimit(repair, "left_alone");
  }

  #record(repair: LimitRepair): void {
    if (repair.did === "left_alone" && this.#isOverLimit(repair)) return;
    const { did: kind, ...detail } = repair;
    const { host, ledger } = this.#context;
    if (kind !== "repair_refused" || this.#countRefusals(repair) === 0) this.#repairs.push(repair);
    ledger.addEvent(this.#job, { atMs: host.now(), atBootMs: host.bootNow(), kind, detail });
  }

  /** Returns true until a repair that the kernel refused is tried again. */
  #isWaiting(repair: LimitRepair): boolean {
    const refusals = this.#countRefusals(repair);
    const waitMs = Math.min(HOUR_MS, MIN_RETRY_MS * 2 ** (refusals - 1));
    const last = this.#eventsAbout(repair).at(-1);
    return refusals > 0 && last !== undefined && this.#msSince(last) < waitMs;
  }

  /** Counts the refusals since the last repair that succeeded. */
  #countRefusals(repair: LimitRepair): number {
    const events = this.#eventsAbout(repair);
    return events.length - 1 - events.findLastIndex(({ kind }) => kind !== "repair_refused");
  }

  /** Counts for each wanted value separately. */
  #isOverLimit(repair: LimitRepair, did = repair.did, withinMs = HOUR_MS): boolean {
    const earlier = this.#eventsAbout(repair).filter(
      (event) => event.kind === did && this.#msSince(event) < withinMs,
    );
    return earlier.length >= MAX_REPAIRS_PER_HOUR[did];
  }

  #msSince({ atMs, atBootMs }: DriftEvent): number {
    const { host } = this.#context;
    if (atBootMs !== undefined) return host.bootNow() - atBootMs;
    // An earlier release recorded the wall clock only. An event after the present is before a change of that clock.
    const elapsedMs = host.now() - atMs;
    return elapsedMs < 0 ? HOUR_MS : elapsedMs;
  }

  /** Returns the earlier repairs of the same limit to the same value, the latest last. */
  #eventsAbout({ what, wanted }: LimitRepair): DriftEvent[] {
    // Read only once a drift is found, which is seldom.
    this.#events ??= this.#context.ledger.events(this.#job).filter(isDriftEvent);
    return this.#events.filter(({ detail }) => detail.what === what && detail.wanted === wanted);
  }
}

/** A process of the job that is not in its cgroup in one hierarchy, nor in one that the workload made below it. */
type Stray = LeftOutside & { isAtOrigin: boolean };

function listStrays(host: Context["host"], cgroup: JobCgroup, root: ProcessIdentity): Stray[] {
  return listTree(host, root.pid).flatMap((pid) => {
    const stat = readStat(host, pid);
    if (stat === "gone" || hasEnded(stat)) return [];
    if (pid === root.pid && stat.startTicks !== root.startTicks) return [];
    const membership = readMembership(host, pid);
    if (membership === "gone") return [];
    return cgroup.directories.flatMap(({ hierarchy, path, origin, controllers }): Stray[] => {
      const place = directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
      if (place === path || place?.startsWith(`${path}/`)) return [];
      const because = `it is in ${place ?? "a cgroup that is not visible here"}`;
      const names = controllers.map(({ name }) => name);
      return [{ controllers: names, pid, because, isAtOrigin: place === origin }];
    });
  });
}
