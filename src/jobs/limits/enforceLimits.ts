import type { Limits } from "../../limits/limits.ts";
import { pickLimits } from "../../limits/limits.ts";
import { type LimitOutcome, refusedInstead } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";
import { type Usage, withUnknown } from "../../limits/usage.ts";
import { backendOf } from "../../linux/cgroup/backends.ts";
import { type LimitDrift, listLimitDrift } from "../../linux/cgroup/effectiveLimits.ts";
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
import type { Drift, DriftKind, JobEvent, RecordedEvent } from "../model/jobEvent.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { type LeftOutside, moveTreeIntoCgroup, withdrawFromOutsiders } from "../placement/moveTree.ts";

const REAPPLIED = "reapplied";
const GIVEN_AGAIN = "given_again";
const LEFT_ALONE = "left_alone";

/**
 * How often a limit is applied again within an hour before it is left alone for an hour. An operator who writes another
 * value means it, and ffrtmp does not fight over it. A controller that is gone with its limit says nothing about the
 * limit: systemd disables it for every unit of a slice when a unit there ends that needed it.
 */
const MAX_REPAIRS_PER_HOUR = { [REAPPLIED]: 3, [GIVEN_AGAIN]: 60 };
const HOUR_MS = 3_600_000;

type Repair = keyof typeof MAX_REPAIRS_PER_HOUR;

/** A drift and the reaction to it. */
export interface LimitRepair extends Drift {
  readonly did: DriftKind;
}

/** The job as it is recorded after its limits were enforced, and the repairs that are worth a log line. */
export interface Enforcement {
  job: RunningJob;
  repairs: LimitRepair[];
}

/**
 * Compares the recorded limits of a job with those that the kernel has now, and applies again what was changed from
 * outside: by an operator who wrote to the job's cgroup, by systemd that disabled a controller, by a move of a process.
 * Each time is an event. A limit that changes more often than MAX_REPAIRS_PER_HOUR is left alone for an hour; its outcome
 * says so, and it is reported once.
 *
 * `total` is the limits of the job's tenant. Safe to call at any time.
 */
export function enforceLimits(context: Context, seen: RunningJob, total: Limits = {}): Enforcement {
  if (seen.cgroup.length === 0) return { job: seen, repairs: [] };
  const history = new DriftHistory(context, seen);
  const cgroup = jobCgroupOf(context, seen);
  let { outcomes } = seen;
  const targets: Target[] = [
    { limits: total, of: "tenant" },
    { limits: limitsInForce(seen), of: undefined },
  ];
  for (const target of targets) outcomes = enforceTarget(context, seen, cgroup, target, history, outcomes);
  outcomes = enforceMembership(context, seen, cgroup, history, outcomes);
  let job = seen;
  const { resetCounters } = history;
  if (resetCounters.length > 0)
    job = context.ledger.recordCarriedUsage(job, withUnknown(job.carriedUsage, resetCounters));
  if (history.repairs.length > 0) job = recordCgroup(context, job, cgroup);
  if (JSON.stringify(outcomes) !== JSON.stringify(job.outcomes))
    job = context.ledger.recordOutcomes(job, outcomes);
  return { job, repairs: history.repairs };
}

/** The limits of the job's own cgroup, or the total of its tenant. */
interface Target {
  limits: Limits;
  of: LimitOutcome["of"];
}

function enforceTarget(
  context: Context,
  job: RunningJob,
  cgroup: JobCgroup,
  { limits, of }: Target,
  history: DriftHistory,
  outcomes: readonly LimitOutcome[],
): readonly LimitOutcome[] {
  const part = of === "tenant" ? tenantCgroupOf(cgroup) : cgroup;
  const drifts = listLimitDrift(part, limits).filter(({ limit, wanted }) => {
    const outcome = outcomes.find((each) => each.of === of && each.limit === limit);
    return outcome && (isInForce(outcome) || history.isForgiven(nameOf(limit, of), wanted));
  });
  if (drifts.length === 0) return outcomes;
  const repaired = drifts.filter(
    (drift) => !history.isGivenUp(repairOf(drift), nameOf(drift.limit, of), drift.wanted),
  );
  // Only these: a limit that was given up stays so when another one is applied again.
  const lost = pickLimits(
    limits,
    repaired.map(({ limit }) => limit),
  );
  const renewed =
    repaired.length === 0 ? [] : applyAgain(context, job, cgroup, { limits: lost, of }, history);
  return outcomes.map((outcome) => {
    const drift = drifts.find(({ limit }) => outcome.of === of && limit === outcome.limit);
    if (!drift) return outcome;
    const now = repaired.includes(drift) ? renewed.find(({ limit }) => limit === drift.limit) : undefined;
    if (!now) return leaveAlone(outcome, drift, history);
    // The kernel holds the same as after the first write: it never took more, and nothing was changed from outside.
    if (now.outcome === "partial" && now.actual === outcome.actual) return outcome;
    // A limit that is refused now is not tried for a while.
    const did = isInForce(now) ? repairOf(drift) : LEFT_ALONE;
    history.record({ what: nameOf(drift.limit, of), did, wanted: drift.wanted, found: drift.found });
    return now.outcome === "applied" && outcome.outcome === "partial"
      ? { ...outcome, ...now, outcome: "partial", because: outcome.because }
      : now;
  });
}

function applyAgain(
  context: Context,
  job: RunningJob,
  cgroup: JobCgroup,
  { limits, of }: Target,
  history: DriftHistory,
): LimitOutcome[] {
  for (const directory of cgroup.directories) {
    const backend = backendOf(directory.hierarchy);
    history.resetCounters.push(...backend.restoreControllers(cgroup, directory, limits));
  }
  if (of === "tenant") return applyTenantLimits(cgroup, limits);
  // Recorded before the write: the owner's value that it replaces.
  if (recordOwnersValues(cgroup, limits)) recordCgroup(context, job, cgroup);
  const outcomes = applyCgroupLimits(cgroup, limits);
  // Only the files of these limits: the owner may have written to another one a moment ago.
  recordWritten(cgroup, limits);
  return outcomes;
}

function isInForce({ outcome }: LimitOutcome): boolean {
  return outcome === "applied" || outcome === "partial";
}

function repairOf({ isControllerGone }: LimitDrift): Repair {
  return isControllerGone ? GIVEN_AGAIN : REAPPLIED;
}

function nameOf(limit: LimitName, of: LimitOutcome["of"]): LimitRepair["what"] {
  return of === "tenant" ? `tenant's ${limit}` : limit;
}

function leaveAlone(outcome: LimitOutcome, drift: LimitDrift, history: DriftHistory): LimitOutcome {
  const { limit, wanted, found } = drift;
  history.record({ what: nameOf(limit, outcome.of), did: LEFT_ALONE, wanted, found });
  const because = `it was set to ${found} from outside; it was applied again ${MAX_REPAIRS_PER_HOUR[repairOf(drift)]} times within an hour and is left alone for an hour now`;
  return { ...refusedInstead(outcome, because), actual: found };
}

/** Moves processes back only from their origin: a process in any other cgroup may be limited there. */
function enforceMembership(
  context: Context,
  { process: root }: RunningJob,
  cgroup: JobCgroup,
  history: DriftHistory,
  outcomes: readonly LimitOutcome[],
): readonly LimitOutcome[] {
  const strays = root.bootId === context.bootId ? listStrays(context, cgroup, root) : [];
  if (strays.length === 0) return outcomes;
  if (!strays.some(({ isAtOrigin }) => isAtOrigin)) {
    return withdrawFromOutsiders(outcomes, cgroup, root.pid, strays);
  }
  const wanted = cgroup.directories.map(({ path }) => path).join(", ");
  const found = [...new Set(strays.map(({ pid, because }) => `PID ${pid}: ${because}`))].join("; ");
  if (history.isGivenUp(REAPPLIED, "membership", wanted)) {
    history.record({ what: "membership", did: LEFT_ALONE, wanted, found });
    return withdrawFromOutsiders(outcomes, cgroup, root.pid, strays);
  }
  const { leftOutside } = moveTreeIntoCgroup(context.host, cgroup, root);
  history.record({ what: "membership", did: REAPPLIED, wanted, found });
  const remaining = listStrays(context, cgroup, root).map((stray) => {
    const refusal = leftOutside.find(
      ({ pid, controllers }) => pid === stray.pid && sameNames(controllers, stray.controllers),
    );
    return stray.isAtOrigin && refusal ? { ...stray, because: refusal.because } : stray;
  });
  return withdrawFromOutsiders(outcomes, cgroup, root.pid, remaining);
}

/** A process of the job that is not in its cgroup in one hierarchy, nor in one that the workload made below it. */
interface Stray extends LeftOutside {
  isAtOrigin: boolean;
}

function listStrays({ host }: Context, cgroup: JobCgroup, root: ProcessIdentity): Stray[] {
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
      return [
        { controllers: controllers.map(({ name }) => name), pid, because, isAtOrigin: place === origin },
      ];
    });
  });
}

function sameNames(a: string[], b: string[]): boolean {
  return a.join() === b.join();
}

type DriftEvent = Extract<JobEvent, { kind: DriftKind }>;

/** The repairs of one scan of one job, and those that the ledger has from earlier scans. */
class DriftHistory {
  readonly repairs: LimitRepair[] = [];
  /** The counters that restarted at 0 with their controllers, so that their earlier values are lost. */
  readonly resetCounters: (keyof Usage)[] = [];
  readonly #context: Context;
  readonly #job: RunningJob;
  #earlier: DriftEvent[] | undefined;

  constructor(context: Context, job: RunningJob) {
    this.#context = context;
    this.#job = job;
  }

  /** Counted for each wanted value separately. */
  isGivenUp(repair: Repair, what: LimitRepair["what"], wanted: string): boolean {
    return (
      this.#count(repair, what, wanted) >= MAX_REPAIRS_PER_HOUR[repair] ||
      this.#count(LEFT_ALONE, what, wanted) > 0
    );
  }

  /** Returns whether it was given up more than an hour ago, so that it is worth another try. */
  isForgiven(what: LimitRepair["what"], wanted: string): boolean {
    const wasGivenUp = this.#count(LEFT_ALONE, what, wanted, Number.POSITIVE_INFINITY) > 0;
    return wasGivenUp && this.#count(LEFT_ALONE, what, wanted) === 0;
  }

  record(repair: LimitRepair): void {
    if (repair.did === LEFT_ALONE && this.#count(LEFT_ALONE, repair.what, repair.wanted) > 0) return;
    const { did: kind, ...detail } = repair;
    this.#context.ledger.addEvent(this.#job, { atMs: this.#now(), kind, detail });
    this.repairs.push(repair);
  }

  #count(
    did: LimitRepair["did"],
    what: LimitRepair["what"],
    wanted: string,
    withinMs: number = HOUR_MS,
  ): number {
    // Read only once a drift is found, which is seldom.
    this.#earlier ??= this.#context.ledger.events(this.#job).filter(isDriftEvent);
    return this.#earlier.filter(
      ({ atMs, kind, detail }) =>
        kind === did && detail.what === what && detail.wanted === wanted && this.#now() - atMs < withinMs,
    ).length;
  }

  #now(): number {
    return this.#context.host.now();
  }
}

function isDriftEvent(event: RecordedEvent): event is DriftEvent {
  return event.kind === REAPPLIED || event.kind === GIVEN_AGAIN || event.kind === LEFT_ALONE;
}
