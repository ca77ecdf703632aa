import { type LapsedLimit, listLapsed } from "../kernel/cgroup/heldLimits.ts";
import { directoryOf, readMembership } from "../kernel/cgroup/hierarchies.ts";
import { applyCgroupLimits, type JobCgroup } from "../kernel/cgroup/jobCgroup.ts";
import { enableControllers, listDisabled } from "../kernel/cgroup/subtreeControl.ts";
import type { LimitName, LimitOutcome } from "../kernel/limits.ts";
import { isAlive } from "../kernel/proc/identity.ts";
import { hasEnded, readStat } from "../kernel/proc/stat.ts";
import { listTree } from "../kernel/proc/table.ts";
import type { JobRecord } from "../ledger/records.ts";
import { jobCgroupOf } from "./close.ts";
import { gatherTree, type LeftOutside, withdrawFromOutsiders } from "./gather.ts";
import type { Governor } from "./governor.ts";
import { identityOf } from "./repair.ts";

/** How often a limit is put in force again before it is left to whoever undoes it. */
const MOST_REPEATS = 3;

const REAPPLIED = "reapplied";
const LEFT_ALONE = "left_alone";

/** What was found to be undone by somebody else, and what was done about it. Also the detail of the ledger's event. */
export interface UpkeepFinding {
  /** `membership`: processes were moved out of the job's cgroup. */
  what: LimitName | "membership";
  did: typeof REAPPLIED | typeof LEFT_ALONE;
  wanted: string;
  /** What was there instead. */
  found: string;
}

/**
 * Compares what is on record as in force with what the kernel holds now, and puts back what somebody undid: an operator
 * who wrote to our cgroup, systemd that took a controller away, whoever moved a process out. Each limit three times, each
 * time an event; the fourth time it is left as it is, the outcome says so, and it is told once.
 *
 * Safe to call at any time for any job; does nothing for one that is not running. Returns what is worth telling.
 */
export function upkeepJob(governor: Governor, job: JobRecord): UpkeepFinding[] {
  if (job.state !== "running" || job.cgroup.length === 0) return [];
  const kept = new Kept(governor, job);
  const outcomes = keepMembers(governor, job, kept, keepLimits(governor, job, kept));
  if (JSON.stringify(outcomes) !== JSON.stringify(job.outcomes)) governor.ledger.change(job, { outcomes });
  return kept.findings;
}

function keepLimits(governor: Governor, job: JobRecord, kept: Kept): LimitOutcome[] {
  const inForce = job.outcomes.filter(({ outcome }) => outcome === "applied" || outcome === "partial");
  const lapsed = listLapsed(jobCgroupOf(governor, job), job.limits).filter(({ limit }) =>
    inForce.some((outcome) => outcome.limit === limit),
  );
  if (lapsed.length === 0) return job.outcomes;
  const mine = lapsed.filter((each) => !kept.isGivenUp(each.limit, each.wanted));
  const renewed = mine.length === 0 ? [] : applyAgain(governor, job);
  return job.outcomes.map((outcome) => {
    const lapse = lapsed.find(({ limit }) => limit === outcome.limit);
    if (!lapse) return outcome;
    const now = mine.includes(lapse) ? renewed.find(({ limit }) => limit === lapse.limit) : undefined;
    if (!now) return leaveAlone(outcome, lapse, kept);
    // The kernel holds the same as when it was first asked: nobody undid anything, it never took more.
    if (now.outcome === "partial" && now.actual === outcome.actual) return outcome;
    kept.note({ what: lapse.limit, did: REAPPLIED, wanted: lapse.wanted, found: lapse.found });
    return now.outcome === "applied" && outcome.outcome === "partial"
      ? { ...outcome, ...now, outcome: "partial" }
      : now;
  });
}

function applyAgain(governor: Governor, job: JobRecord): LimitOutcome[] {
  const { cgroupFs } = governor.host;
  for (const { origin, enabled } of job.cgroup) {
    if (enabled.length === 0) continue;
    enableControllers(cgroupFs, origin, listDisabled(cgroupFs, origin, enabled));
  }
  return applyCgroupLimits(jobCgroupOf(governor, job), job.limits);
}

function leaveAlone(outcome: LimitOutcome, { limit, wanted, found }: LapsedLimit, kept: Kept): LimitOutcome {
  kept.note({ what: limit, did: LEFT_ALONE, wanted, found });
  const because = `somebody else set it to ${found}; it was put back ${MOST_REPEATS} times and is left alone now`;
  return { limit, outcome: "refused", wanted: outcome.wanted, actual: found, because };
}

/** Processes go back only from where they came from: whoever put one elsewhere may limit it there. */
function keepMembers(
  governor: Governor,
  job: JobRecord,
  kept: Kept,
  outcomes: LimitOutcome[],
): LimitOutcome[] {
  const root = identityOf(job);
  const cgroup = jobCgroupOf(governor, job);
  const strays = root && isAlive(governor.host, root) ? listStrays(governor, cgroup, root.pid) : [];
  if (!root || strays.length === 0) return outcomes;
  if (!strays.some(({ isAtOrigin }) => isAtOrigin)) {
    return withdrawFromOutsiders(outcomes, cgroup, root.pid, strays);
  }
  const wanted = cgroup.directories.map(({ path }) => path).join(", ");
  const found = [...new Set(strays.map(({ pid, because }) => `PID ${pid}: ${because}`))].join("; ");
  if (kept.isGivenUp("membership", wanted)) {
    kept.note({ what: "membership", did: LEFT_ALONE, wanted, found });
    return withdrawFromOutsiders(outcomes, cgroup, root.pid, strays);
  }
  const { leftOutside } = gatherTree(governor.host, cgroup, root);
  kept.note({ what: "membership", did: REAPPLIED, wanted, found });
  const remaining = listStrays(governor, cgroup, root.pid).map((stray) => {
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

function listStrays({ host }: Governor, cgroup: JobCgroup, root: number): Stray[] {
  return listTree(host, root).flatMap((pid) => {
    const stat = readStat(host, pid);
    const membership = readMembership(host, pid);
    if (stat === "gone" || hasEnded(stat) || membership === "gone") return [];
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

/** What one look at one job found, and what the ledger tells of the looks before. */
class Kept {
  readonly findings: UpkeepFinding[] = [];
  readonly #governor: Governor;
  readonly #job: JobRecord;
  #earlier: UpkeepFinding[] | undefined;

  constructor(governor: Governor, job: JobRecord) {
    this.#governor = governor;
    this.#job = job;
  }

  /** Counted for each wish by itself: what is asked for anew begins anew. */
  isGivenUp(what: UpkeepFinding["what"], wanted: string): boolean {
    return this.#count(REAPPLIED, what, wanted) >= MOST_REPEATS;
  }

  note(finding: UpkeepFinding): void {
    if (finding.did === LEFT_ALONE && this.#count(LEFT_ALONE, finding.what, finding.wanted) > 0) return;
    const { did, ...detail } = finding;
    this.#governor.ledger.addEvent(this.#job, this.#governor.host.now(), did, detail);
    this.findings.push(finding);
  }

  #count(did: UpkeepFinding["did"], what: UpkeepFinding["what"], wanted: string): number {
    // Asked only once something is found undone, which is seldom.
    this.#earlier ??= this.#governor.ledger
      .events(this.#job)
      .map(({ kind, detail }) => ({ did: kind, ...(detail as object) }) as UpkeepFinding);
    return this.#earlier.filter((each) => each.did === did && each.what === what && each.wanted === wanted)
      .length;
  }
}
