import { pickLimits } from "../../limits/compare.ts";
import type { Limits } from "../../limits/limits.ts";
import { type LimitOutcome, refusedInstead } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";
import { type Usage, withUnknown } from "../../limits/usage.ts";
import { type LapsedLimit, listLapsed } from "../../linux/cgroup/effectiveLimits.ts";
import { directoryOf, readMembership } from "../../linux/cgroup/hierarchies.ts";
import {
  applyCgroupLimits,
  applyTenantLimits,
  type JobCgroup,
  tenantCgroupOf,
} from "../../linux/cgroup/jobCgroup.ts";
import { giveAgain } from "../../linux/cgroup/makeJobCgroup.ts";
import { storeJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import { limitFilesOf, recordWritten, saveValues } from "../../linux/cgroup/savedValues.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { hasEnded, readStat } from "../../linux/proc/stat.ts";
import { listTree } from "../../linux/proc/table.ts";
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
 * How often within an hour a limit is put back before it is left for an hour. Who writes another value means it, and there
 * is to be no quarrel. A controller that is gone with its limit is nobody's word about the limit: systemd takes it from
 * every unit of a slice when a unit there ends that needed it.
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
 * outside: by an operator who wrote to the job's cgroup, by systemd that took a controller away, by a process move. Each
 * time is an event. A limit that changes more often than MAX_REPAIRS_PER_HOUR is left alone for an hour; its outcome
 * says so, and it is reported once.
 *
 * `total` is the limits of the job's tenant. Safe to call at any time.
 */
export function enforceLimits(context: Context, seen: RunningJob, total: Limits = {}): Enforcement {
  if (seen.cgroup.length === 0) return { job: seen, repairs: [] };
  let job = seen;
  const memory = new Memory(context, job);
  const cgroup = jobCgroupOf(context, job);
  const group = tenantCgroupOf(cgroup);
  let { outcomes } = job;
  const totalKept: Kept = {
    cgroup: group,
    limits: total,
    of: "tenant",
    apply: () => applyTenantLimits(cgroup, total),
  };
  const ownKept: Kept = {
    cgroup,
    limits: limitsInForce(job),
    of: undefined,
    apply: applyCgroupLimits,
    // The counts went with the controller, and what they were nobody has read.
    forget: (fields) => {
      job = context.ledger.recordCarriedUsage(job, withUnknown(job.carriedUsage, fields));
    },
  };
  for (const kept of [totalKept, ownKept]) outcomes = keepLimits(context, outcomes, kept, memory);
  outcomes = keepMembers(context, job, cgroup, memory, outcomes);
  const stored = storeJobCgroup(cgroup);
  if (memory.findings.length > 0 && JSON.stringify(stored) !== JSON.stringify(job.cgroup))
    job = context.ledger.recordCgroup(job, stored);
  if (JSON.stringify(outcomes) !== JSON.stringify(job.outcomes))
    job = context.ledger.recordOutcomes(job, outcomes);
  return { job, repairs: memory.findings };
}

/** One cgroup with what it is to hold: the job's own, or the group of its tenant. */
interface Kept {
  cgroup: JobCgroup;
  limits: Limits;
  of: LimitOutcome["of"];
  apply: typeof applyCgroupLimits;
  /** Called with what has begun to be counted anew. */
  forget?: (fields: (keyof Usage)[]) => void;
}

function keepLimits(
  context: Context,
  outcomes: readonly LimitOutcome[],
  kept: Kept,
  memory: Memory,
): readonly LimitOutcome[] {
  const { cgroup, limits, of } = kept;
  const lapsed = listLapsed(cgroup, limits).filter(({ limit, wanted }) => {
    const outcome = outcomes.find((each) => each.of === of && each.limit === limit);
    return outcome && (isInForce(outcome) || memory.isForgiven(nameOf(limit, of), wanted));
  });
  if (lapsed.length === 0) return outcomes;
  const mine = lapsed.filter(
    (lapse) => !memory.isGivenUp(repairOf(lapse), nameOf(lapse.limit, of), lapse.wanted),
  );
  // Those alone: what was given up stays so when another limit is put back.
  const undone = pickLimits(
    limits,
    mine.map(({ limit }) => limit),
  );
  const renewed = mine.length === 0 ? [] : applyAgain(context, { ...kept, limits: undone });
  return outcomes.map((outcome) => {
    const lapse = lapsed.find(({ limit }) => outcome.of === of && limit === outcome.limit);
    if (!lapse) return outcome;
    const now = mine.includes(lapse) ? renewed.find(({ limit }) => limit === lapse.limit) : undefined;
    if (!now) return leaveAlone(outcome, lapse, memory);
    // The kernel holds the same as when it was first asked: nobody undid anything, it never took more.
    if (now.outcome === "partial" && now.actual === outcome.actual) return outcome;
    // One that was refused now is not looked at for a while.
    const did = isInForce(now) ? repairOf(lapse) : LEFT_ALONE;
    memory.note({ what: nameOf(lapse.limit, of), did, wanted: lapse.wanted, found: lapse.found });
    return now.outcome === "applied" && outcome.outcome === "partial"
      ? { ...outcome, ...now, outcome: "partial" }
      : now;
  });
}

function applyAgain(
  { host: { cgroupFs } }: Context,
  { cgroup, limits, apply, forget }: Kept,
): LimitOutcome[] {
  const forgotten = giveAgain(cgroup, limits);
  if (forgotten.length > 0) forget?.(forgotten);
  const inPlace = cgroup.directories.filter(({ placedAs }) => placedAs === "in-place");
  const files = limitFilesOf(limits);
  for (const { path, heldBefore } of inPlace) saveValues(cgroupFs, path, files, heldBefore);
  const outcomes = apply(cgroup, limits);
  // Those files alone: what stands in another may be the owner's word of a moment ago.
  for (const { path, heldBefore } of inPlace) {
    const written = heldBefore.filter(({ file, after }) => files.includes(file) || after === null);
    recordWritten(cgroupFs, path, written);
  }
  return outcomes;
}

function isInForce({ outcome }: LimitOutcome): boolean {
  return outcome === "applied" || outcome === "partial";
}

function repairOf({ isControllerGone }: LapsedLimit): Repair {
  return isControllerGone ? GIVEN_AGAIN : REAPPLIED;
}

function nameOf(limit: LimitName, of: LimitOutcome["of"]): LimitRepair["what"] {
  return of === "tenant" ? `tenant's ${limit}` : limit;
}

function leaveAlone(outcome: LimitOutcome, lapse: LapsedLimit, memory: Memory): LimitOutcome {
  const { limit, wanted, found } = lapse;
  const { of } = outcome;
  memory.note({ what: nameOf(limit, of), did: LEFT_ALONE, wanted, found });
  const because = `somebody else set it to ${found}; it was put back ${MAX_REPAIRS_PER_HOUR[repairOf(lapse)]} times within an hour and is left alone for one now`;
  const refused = refusedInstead(outcome, because);
  return { ...refused, actual: found };
}

/** Processes go back only from where they came from: whoever put one elsewhere may limit it there. */
function keepMembers(
  context: Context,
  { process: root }: RunningJob,
  cgroup: JobCgroup,
  memory: Memory,
  outcomes: readonly LimitOutcome[],
): readonly LimitOutcome[] {
  const strays = root.bootId === context.bootId ? listStrays(context, cgroup, root) : [];
  if (strays.length === 0) return outcomes;
  if (!strays.some(({ isAtOrigin }) => isAtOrigin)) {
    return withdrawFromOutsiders(outcomes, cgroup, root.pid, strays);
  }
  const wanted = cgroup.directories.map(({ path }) => path).join(", ");
  const found = [...new Set(strays.map(({ pid, because }) => `PID ${pid}: ${because}`))].join("; ");
  if (memory.isGivenUp(REAPPLIED, "membership", wanted)) {
    memory.note({ what: "membership", did: LEFT_ALONE, wanted, found });
    return withdrawFromOutsiders(outcomes, cgroup, root.pid, strays);
  }
  const { leftOutside } = moveTreeIntoCgroup(context.host, cgroup, root);
  memory.note({ what: "membership", did: REAPPLIED, wanted, found });
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
class Memory {
  readonly findings: LimitRepair[] = [];
  readonly #context: Context;
  readonly #job: RunningJob;
  #earlier: DriftEvent[] | undefined;

  constructor(context: Context, job: RunningJob) {
    this.#context = context;
    this.#job = job;
  }

  /** Counted for each wish by itself: what is asked for anew begins anew. */
  isGivenUp(repair: Repair, what: LimitRepair["what"], wanted: string): boolean {
    return (
      this.#count(repair, what, wanted) >= MAX_REPAIRS_PER_HOUR[repair] ||
      this.#count(LEFT_ALONE, what, wanted) > 0
    );
  }

  /** It was given up, and that is so long ago that whoever undid it may have meant nothing by it. */
  isForgiven(what: LimitRepair["what"], wanted: string): boolean {
    const wasGivenUp = this.#count(LEFT_ALONE, what, wanted, Number.POSITIVE_INFINITY) > 0;
    return wasGivenUp && this.#count(LEFT_ALONE, what, wanted) === 0;
  }

  note(finding: LimitRepair): void {
    if (finding.did === LEFT_ALONE && this.#count(LEFT_ALONE, finding.what, finding.wanted) > 0) return;
    const { did: kind, ...detail } = finding;
    this.#context.ledger.addEvent(this.#job, { atMs: this.#now(), kind, detail });
    this.findings.push(finding);
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
