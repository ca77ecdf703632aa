import { parseJson } from "../../ledger/eventRows.ts";
import { JobConflict } from "../../ledger/ledger.ts";
import { usageSince } from "../../limits/usage.ts";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { bootMsOf, readStat } from "../../linux/proc/stat.ts";
import { listPids, readArguments, readOwner } from "../../linux/proc/table.ts";
import type { Context } from "../context.ts";
import { cleanUpEnded, recordExit } from "../exit/recordExit.ts";
import { governTree } from "../limits/applyToTree.ts";
import { recordedCommand } from "../model/command.ts";
import {
  bootIdOf,
  type EndedJob,
  type Job,
  type OpenJob,
  observerOf,
  type RunningJob,
  type StartingJob,
} from "../model/job.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { adoptOrphanGroups, findMainProcess } from "./orphanCgroups.ts";

const ACTIVE_DAEMON = "watch";

/**
 * The result of repairing one job. `left`: another ffrtmp is about to record its exit, or its cgroup is in use.
 * `cleaned-up`: the job has ended and nothing of it is left.
 */
export type Repair = "observed" | "unobserved" | "closed" | "cleaned-up" | "left";

/**
 * Compares the ledger with the system: finishes what an ffrtmp that died has started, records the exits that no ffrtmp
 * observed, and removes empty cgroups. Safe at any time, in several processes at once.
 */
export function repairAll(context: Context): void {
  adoptOrphanGroups(context);
  for (const job of context.ledger.jobsToCleanUp()) repairJob(context, job);
}

/** `isWatched`: this process observes the job's process too. If it has ended, its exit event is about to arrive. */
export function repairJob(context: Context, seen: Job, isWatched = false): Repair {
  const { host, ledger } = context;
  if (isObserved(context, seen)) return "observed";
  // An earlier reading may be outdated: its dead observer has recorded more, or another ffrtmp has taken the job over.
  const current = ledger.job(seen.key);
  if (!current) return "cleaned-up";
  if (current.state === "ended") return current.cleanedUp ? "cleaned-up" : cleanUp(context, current);
  if (isObserved(context, current)) return "observed";
  const job = current.state === "starting" ? adoptHalfStarted(context, current) : current;
  if (job.state === "running") {
    if (isAlive(host, job.process)) {
      if (job.observer !== null && ledger.takeOver(job, null))
        ledger.addEvent(job, {
          atMs: host.now(),
          atBootMs: host.bootNow(),
          kind: "observer_died",
          detail: {},
        });
      return "unobserved";
    }
    if (isWatched || isDaemonRunning(context)) return "left";
  }
  return recordUnobservedExit(context, job);
}

/** Returns true while the ffrtmp that will record the job's end is alive. */
export function isObserved({ host }: Context, job: Job): boolean {
  const observer = observerOf(job);
  return observer !== null && isAlive(host, observer);
}

export function recordActiveDaemon({ ledger, self }: Context): void {
  ledger.setNote(ACTIVE_DAEMON, JSON.stringify(self));
}

/** Returns true while another process is the active daemon: it has a pidfd of every job, and may know how one has ended. */
export function isDaemonRunning(context: Context): boolean {
  const daemon = findActiveDaemon(context);
  return daemon !== undefined && daemon.pid !== context.self.pid;
}

/** Returns the `watch` of this state directory that runs. */
export function findActiveDaemon({ ledger, host }: Context): ProcessIdentity | undefined {
  const daemon = parseJson(ledger.note(ACTIVE_DAEMON) ?? "null") as ProcessIdentity | null | undefined;
  return typeof daemon?.pid === "number" && isAlive(host, daemon) ? daemon : undefined;
}

/** Records the exit of a job whose main process has ended with no ffrtmp that observed it. */
export function recordUnobservedExit(context: Context, job: OpenJob): Repair {
  const reason =
    bootIdOf(job) !== context.bootId
      ? "the machine was restarted while it was governed"
      : job.state === "starting"
        ? "its ffrtmp died while starting it; whether it ran at all is not known"
        : "it ended while no ffrtmp observed it";
  const { result, isOurs } = recordExit(context, job, { kind: "unobserved", reason });
  if (isOurs) context.onUnobservedEnd?.(job, result);
  return "closed";
}

function cleanUp(context: Context, job: EndedJob): Repair {
  const { host, ledger } = context;
  const cgroup = jobCgroupOf(context, job);
  // Read first: the counters go with the cgroup.
  const usage = usageOf(job, cgroup);
  if (cleanUpEnded(context, job, cgroup).length > 0) return "left";
  // The result covers the time until the main process ended, and never changes. This is the usage since then.
  const result = ledger.events(job).some(({ kind }) => kind === "left_behind") && ledger.result(job);
  if (result) {
    const detail = { usage: usageSince(result.usage, usage) };
    ledger.addEvent(job, { atMs: host.now(), kind: "last_gone", detail });
  }
  return "cleaned-up";
}

/**
 * Finishes the start of a job whose ffrtmp died before it had recorded the job as running. Returns the job still
 * starting where there is no process to govern.
 */
function adoptHalfStarted(context: Context, job: StartingJob): OpenJob {
  const { host, ledger } = context;
  if (bootIdOf(job) !== context.bootId) return job;
  const root = job.process ?? findLaunched(context, job);
  if (!root || !isAlive(host, root)) return job;
  const cgroup = jobCgroupOf(context, job);
  const { job: governed, outcomes } = governTree(context, job, cgroup, root);
  try {
    const running = ledger.recordRunning(governed, {
      process: root,
      ...startOf(context, job, root),
      outcomes,
    });
    const detail = { because: "its ffrtmp died while it was being started" };
    ledger.addEvent(running, { atMs: host.now(), atBootMs: host.bootNow(), kind: "adopted", detail });
    return running;
  } catch (error) {
    // Another job governs that process.
    if (error instanceof JobConflict) return { ...governed, outcomes };
    throw error;
  }
}

/** Returns when a job started that is recorded as running only now: `run` governs its process from the first instruction. */
function startOf(
  { host }: Context,
  { mode }: StartingJob,
  { startTicks }: ProcessIdentity,
): Pick<RunningJob, "startedMs" | "startedBootMs"> {
  const bootNow = host.bootNow();
  const startedBootMs = mode === "run" ? bootMsOf(startTicks) : bootNow;
  return { startedMs: host.now() - (bootNow - startedBootMs), startedBootMs };
}

/**
 * Finds the workload of a launcher that died before it could record the pid: the session leader in the job's cgroup. For a
 * job without a cgroup it is the only session leader of the right age with the right command line.
 */
function findLaunched(context: Context, job: StartingJob): ProcessIdentity | undefined {
  const { host, ledger, bootId } = context;
  const cgroup = jobCgroupOf(context, job);
  if (cgroup.directories.length > 0) return findMainProcess(context, listMembers(cgroup));
  const candidates = listPids(host).filter((pid) => {
    const stat = readStat(host, pid);
    return (
      stat !== "gone" &&
      stat.session === pid &&
      stat.startTicks >= job.observer.startTicks &&
      // A process of another user could delay the next read without end, and is not the workload.
      readOwner(host, pid) === process.geteuid?.() &&
      Bun.deepEquals(recordedCommand(readArguments(host, pid)).command, job.command) &&
      ledger.openJobOfProcess({ bootId, pid, startTicks: stat.startTicks }) === undefined
    );
  });
  return candidates.length === 1 ? findMainProcess(context, candidates) : undefined;
}
