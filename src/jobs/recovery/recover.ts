import { JobConflict } from "../../ledger/ledger.ts";
import type { JobRecord } from "../../ledger/records.ts";
import { type Usage, usageSince } from "../../linux/cgroup/controller.ts";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listPids, readArguments } from "../../linux/proc/table.ts";
import type { Governor } from "../context.ts";
import { closeJob, endedUnknown, releaseEnded } from "../exit/recordExit.ts";
import { governTree } from "../limits/applyToTree.ts";
import { identityOf, isObserved } from "../liveness.ts";
import { LAST_GONE, LEFT_BEHIND } from "../model/jobEvent.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { isWatchedByAnother } from "./activeDaemon.ts";
import { isLeader, oldestLeader } from "./mainProcess.ts";
import { adoptOrphanGroups } from "./orphanCgroups.ts";

/** What a look at one job on record came to. `left`: somebody else is about to close it, or its cgroup is in use. */
export type Repair = "observed" | "unobserved" | "closed" | "released" | "left";

/**
 * Brings the ledger in line with what lives: adopts what a dead ffrtmp left half-begun, closes what ended
 * unseen, removes cgroups that nobody is in any more. Safe to run at any time, in several processes at once.
 */
export function repairAll(governor: Governor): void {
  adoptOrphanGroups(governor);
  for (const job of governor.ledger.unreleasedJobs()) repairJob(governor, job);
}

export function repairJob(governor: Governor, seen: JobRecord): Repair {
  if (isObserved(governor, seen)) return "observed";
  // Its observer is dead, so what stands on record now is the last word; what was read before may not be.
  const job = governor.ledger.job(seen.key);
  if (!job || job.released) return "released";
  if (job.state === "ended") return release(governor, job);
  const root = job.state === "starting" ? adoptHalfBegun(governor, job) : identityOf(job);
  if (root && isAlive(governor.host, root)) return noteUnobserved(governor, job);
  if (job.state === "running" && isWatchedByAnother(governor)) return "left";
  return closeUnobserved(governor, job);
}

/** Closes a job whose main process is over, and of whose end nobody knows anything. */
export function closeUnobserved(governor: Governor, job: JobRecord): Repair {
  closeJob(governor, job, endedUnknown("unobserved", whyUnknown(governor, job)));
  return "closed";
}

function release(governor: Governor, job: JobRecord): Repair {
  const cgroup = jobCgroupOf(governor, job);
  // Before the counters go with the cgroup.
  const usage = usageOf(job, cgroup);
  if (releaseEnded(governor, job, cgroup).length > 0) return "left";
  noteLastGone(governor, job, usage);
  return "released";
}

/**
 * The result of a job speaks of it until its main process ended, and stays as it is. What the processes that it left behind
 * have used since stands beside it.
 */
function noteLastGone({ ledger, host }: Governor, job: JobRecord, usage: Usage): void {
  if (!ledger.events(job).some(({ kind }) => kind === LEFT_BEHIND)) return;
  const result = ledger.result(job);
  if (result) ledger.addEvent(job, host.now(), LAST_GONE, { usage: usageSince(result.usage, usage) });
}

function noteUnobserved(governor: Governor, job: JobRecord): Repair {
  const { ledger, host } = governor;
  if (job.observer !== null && ledger.takeOver(job, null))
    ledger.addEvent(job, host.now(), "observer_died", {});
  return "unobserved";
}

/** A governor died between the record and the end of its work: what lives is taken up from where it was left. */
function adoptHalfBegun(governor: Governor, job: JobRecord): ProcessIdentity | undefined {
  const { host, ledger } = governor;
  if (job.bootId !== governor.bootId) return undefined;
  const root = job.mode === "run" ? findLaunched(governor, job) : identityOf(job);
  if (!root || !isAlive(host, root)) return undefined;
  const cgroup = jobCgroupOf(governor, job);
  governTree(governor, job, cgroup, root);
  try {
    ledger.change(job, {
      state: "running",
      pid: root.pid,
      startTicks: root.startTicks,
      startedMs: host.now(),
      outcomes: job.outcomes,
    });
  } catch (error) {
    // Another job governs that process.
    if (error instanceof JobConflict) return undefined;
    throw error;
  }
  ledger.addEvent(job, host.now(), "adopted", { because: "its ffrtmp died while it was being started" });
  return root;
}

/**
 * The workload of a launcher that died before it could note the pid: the session leader in the job's cgroup. Where
 * there was no cgroup to be had, the one session leader of the right age with the right command line, and nothing
 * when there are two.
 */
function findLaunched(governor: Governor, job: JobRecord): ProcessIdentity | undefined {
  const { host } = governor;
  const cgroup = jobCgroupOf(governor, job);
  if (cgroup.directories.length > 0) {
    return oldestLeader(governor, listMembers(cgroup));
  }
  const launcherStart = job.observer?.startTicks ?? Number.POSITIVE_INFINITY;
  const candidates = listPids(host).filter((pid) => {
    const stat = readStat(host, pid);
    return (
      stat !== "gone" &&
      isLeader(stat) &&
      stat.startTicks >= launcherStart &&
      sameWords(readArguments(host, pid), job.command) &&
      governor.ledger.openJobOfProcess(job.bootId, pid, stat.startTicks) === undefined
    );
  });
  return candidates.length === 1 ? oldestLeader(governor, candidates) : undefined;
}

function sameWords(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}

function whyUnknown(governor: Governor, job: JobRecord): string {
  if (job.bootId !== governor.bootId) return "the machine was restarted while it was governed";
  if (job.state === "starting")
    return "its ffrtmp died while starting it; whether it ran at all is not known";
  return "it ended while no ffrtmp observed it";
}
