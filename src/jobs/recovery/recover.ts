import { JobConflict } from "../../ledger/ledger.ts";
import { type Usage, usageSince } from "../../limits/usage.ts";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listPids, readArguments } from "../../linux/proc/table.ts";
import type { Context } from "../context.ts";
import { cleanUpEnded, recordExit } from "../exit/recordExit.ts";
import { governTree } from "../limits/applyToTree.ts";
import { planForProcess } from "../limits/planLimits.ts";
import { isObserved } from "../liveness.ts";
import {
  bootIdOf,
  type EndedJob,
  type Job,
  type OpenJob,
  type RunningJob,
  type StartingJob,
} from "../model/job.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { isDaemonRunning } from "./activeDaemon.ts";
import { findMainProcess, leadsSession } from "./mainProcess.ts";
import { adoptOrphanGroups } from "./orphanCgroups.ts";

/**
 * The result of repairing one job. `left`: another ffrtmp is about to record its exit, or its cgroup is in use.
 * `cleaned-up`: the job has ended and nothing of it is left.
 */
export type Repair = "observed" | "unobserved" | "closed" | "cleaned-up" | "left";

/**
 * Brings the ledger in line with what lives: adopts what a dead ffrtmp left half-begun, closes what ended
 * unseen, removes cgroups that nobody is in any more. Safe to run at any time, in several processes at once.
 */
export function repairAll(context: Context): void {
  adoptOrphanGroups(context);
  for (const job of context.ledger.jobsToCleanUp()) repairJob(context, job);
}

export function repairJob(context: Context, seen: Job): Repair {
  if (isObserved(context, seen)) return "observed";
  // The observer is dead, so the recorded job does not change any more; an earlier reading may be outdated.
  const current = context.ledger.job(seen.key);
  if (!current) return "cleaned-up";
  if (current.state === "ended") return current.cleanedUp ? "cleaned-up" : cleanUp(context, current);
  const job = current.state === "starting" ? adoptHalfStarted(context, current) : current;
  if (job.state === "running") {
    if (isAlive(context.host, job.process)) return recordDeadObserver(context, job);
    if (isDaemonRunning(context)) return "left";
  }
  return recordUnobservedExit(context, job);
}

/** Records the exit of a job whose main process has ended with no ffrtmp that observed it. */
export function recordUnobservedExit(context: Context, job: OpenJob): Repair {
  recordExit(context, job, { kind: "unobserved", reason: whyUnknown(context, job) });
  return "closed";
}

function cleanUp(context: Context, job: EndedJob): Repair {
  const cgroup = jobCgroupOf(context, job);
  // Read first: the counters go with the cgroup.
  const usage = usageOf(job, cgroup);
  if (cleanUpEnded(context, job, cgroup).length > 0) return "left";
  recordLastGone(context, job, usage);
  return "cleaned-up";
}

/**
 * Records the usage of the processes that a job left behind. The job's result covers the time until its main process
 * ended, and never changes.
 */
function recordLastGone({ ledger, host }: Context, job: EndedJob, usage: Usage): void {
  if (!ledger.events(job).some(({ kind }) => kind === "left_behind")) return;
  const result = ledger.result(job);
  if (!result) return;
  const detail = { usage: usageSince(result.usage, usage) };
  ledger.addEvent(job, { atMs: host.now(), kind: "last_gone", detail });
}

function recordDeadObserver({ ledger, host }: Context, job: RunningJob): Repair {
  if (job.observer !== null && ledger.takeOver(job, null))
    ledger.addEvent(job, { atMs: host.now(), kind: "observer_died", detail: {} });
  return "unobserved";
}

/**
 * Finishes the start of a job whose ffrtmp died before it had recorded the job as running. Returns the job still
 * starting where there is no process to govern.
 */
function adoptHalfStarted(context: Context, job: StartingJob): OpenJob {
  const { host, ledger } = context;
  if (bootIdOf(job) !== context.bootId) return job;
  const root = job.mode === "run" ? findLaunched(context, job) : job.process;
  if (!root || !isAlive(host, root)) return job;
  const cgroup = jobCgroupOf(context, job);
  const governed = governTree(context, job, cgroup, root, planForProcess(context, job, cgroup, root.pid));
  const { outcomes } = governed;
  let running: RunningJob;
  try {
    running = ledger.recordRunning(governed.job, { process: root, startedMs: host.now(), outcomes });
  } catch (error) {
    // Another job governs that process.
    if (error instanceof JobConflict) return { ...governed.job, outcomes };
    throw error;
  }
  const detail = { because: "its ffrtmp died while it was being started" };
  ledger.addEvent(running, { atMs: host.now(), kind: "adopted", detail });
  return running;
}

/**
 * The workload of a launcher that died before it could note the pid: the session leader in the job's cgroup. Where
 * there was no cgroup to be had, the one session leader of the right age with the right command line, and nothing
 * when there are two.
 */
function findLaunched(context: Context, job: StartingJob): ProcessIdentity | undefined {
  const { host } = context;
  const cgroup = jobCgroupOf(context, job);
  if (cgroup.directories.length > 0) {
    return findMainProcess(context, listMembers(cgroup));
  }
  const candidates = listPids(host).filter((pid) => {
    const stat = readStat(host, pid);
    return (
      stat !== "gone" &&
      leadsSession(stat) &&
      stat.startTicks >= job.observer.startTicks &&
      sameWords(readArguments(host, pid), job.command) &&
      context.ledger.openJobOfProcess({ bootId: context.bootId, pid, startTicks: stat.startTicks }) ===
        undefined
    );
  });
  return candidates.length === 1 ? findMainProcess(context, candidates) : undefined;
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}

function whyUnknown(context: Context, job: OpenJob): string {
  if (bootIdOf(job) !== context.bootId) return "the machine was restarted while it was governed";
  if (job.state === "starting")
    return "its ffrtmp died while starting it; whether it ran at all is not known";
  return "it ended while no ffrtmp observed it";
}
