import { JobConflict } from "../../ledger/ledger.ts";
import type { JobRecord } from "../../ledger/records.ts";
import { type Usage, usageSince } from "../../limits/usage.ts";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listPids, readArguments } from "../../linux/proc/table.ts";
import type { Context } from "../context.ts";
import { endedUnknown, recordExit, releaseEnded } from "../exit/recordExit.ts";
import { governTree } from "../limits/applyToTree.ts";
import { identityOf, isObserved } from "../liveness.ts";
import { LAST_GONE, LEFT_BEHIND } from "../model/jobEvent.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { isDaemonRunning } from "./activeDaemon.ts";
import { findMainProcess, leadsSession } from "./mainProcess.ts";
import { adoptOrphanGroups } from "./orphanCgroups.ts";

/** What a look at one job on record came to. `left`: somebody else is about to close it, or its cgroup is in use. */
export type Repair = "observed" | "unobserved" | "closed" | "released" | "left";

/**
 * Brings the ledger in line with what lives: adopts what a dead ffrtmp left half-begun, closes what ended
 * unseen, removes cgroups that nobody is in any more. Safe to run at any time, in several processes at once.
 */
export function repairAll(context: Context): void {
  adoptOrphanGroups(context);
  for (const job of context.ledger.unreleasedJobs()) repairJob(context, job);
}

export function repairJob(context: Context, seen: JobRecord): Repair {
  if (isObserved(context, seen)) return "observed";
  // Its observer is dead, so what stands on record now is the last word; what was read before may not be.
  const job = context.ledger.job(seen.key);
  if (!job || job.released) return "released";
  if (job.state === "ended") return release(context, job);
  const root = job.state === "starting" ? adoptHalfBegun(context, job) : identityOf(job);
  if (root && isAlive(context.host, root)) return noteUnobserved(context, job);
  if (job.state === "running" && isDaemonRunning(context)) return "left";
  return recordUnobservedExit(context, job);
}

/** Closes a job whose main process is over, and of whose end nobody knows anything. */
export function recordUnobservedExit(context: Context, job: JobRecord): Repair {
  recordExit(context, job, endedUnknown("unobserved", whyUnknown(context, job)));
  return "closed";
}

function release(context: Context, job: JobRecord): Repair {
  const cgroup = jobCgroupOf(context, job);
  // Before the counters go with the cgroup.
  const usage = usageOf(job, cgroup);
  if (releaseEnded(context, job, cgroup).length > 0) return "left";
  noteLastGone(context, job, usage);
  return "released";
}

/**
 * The result of a job speaks of it until its main process ended, and stays as it is. What the processes that it left behind
 * have used since stands beside it.
 */
function noteLastGone({ ledger, host }: Context, job: JobRecord, usage: Usage): void {
  if (!ledger.events(job).some(({ kind }) => kind === LEFT_BEHIND)) return;
  const result = ledger.result(job);
  if (result) ledger.addEvent(job, host.now(), LAST_GONE, { usage: usageSince(result.usage, usage) });
}

function noteUnobserved(context: Context, job: JobRecord): Repair {
  const { ledger, host } = context;
  if (job.observer !== null && ledger.takeOver(job, null))
    ledger.addEvent(job, host.now(), "observer_died", {});
  return "unobserved";
}

/** A governor died between the record and the end of its work: what lives is taken up from where it was left. */
function adoptHalfBegun(context: Context, job: JobRecord): ProcessIdentity | undefined {
  const { host, ledger } = context;
  if (job.bootId !== context.bootId) return undefined;
  const root = job.mode === "run" ? findLaunched(context, job) : identityOf(job);
  if (!root || !isAlive(host, root)) return undefined;
  const cgroup = jobCgroupOf(context, job);
  governTree(context, job, cgroup, root);
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
function findLaunched(context: Context, job: JobRecord): ProcessIdentity | undefined {
  const { host } = context;
  const cgroup = jobCgroupOf(context, job);
  if (cgroup.directories.length > 0) {
    return findMainProcess(context, listMembers(cgroup));
  }
  const launcherStart = job.observer?.startTicks ?? Number.POSITIVE_INFINITY;
  const candidates = listPids(host).filter((pid) => {
    const stat = readStat(host, pid);
    return (
      stat !== "gone" &&
      leadsSession(stat) &&
      stat.startTicks >= launcherStart &&
      sameWords(readArguments(host, pid), job.command) &&
      context.ledger.openJobOfProcess(job.bootId, pid, stat.startTicks) === undefined
    );
  });
  return candidates.length === 1 ? findMainProcess(context, candidates) : undefined;
}

function sameWords(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}

function whyUnknown(context: Context, job: JobRecord): string {
  if (job.bootId !== context.bootId) return "the machine was restarted while it was governed";
  if (job.state === "starting")
    return "its ffrtmp died while starting it; whether it ran at all is not known";
  return "it ended while no ffrtmp observed it";
}
