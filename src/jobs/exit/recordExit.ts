import { knownOnly, UNKNOWN_USAGE, type Usage } from "../../limits/usage.ts";
import { removeJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import { type JobCgroup, listMembers, tenantCgroupOf } from "../../linux/cgroup/jobCgroup.ts";
import { readUsage } from "../../linux/cgroup/jobUsage.ts";
import { changeKey, isCgroupChange, isShared } from "../../linux/change.ts";
import { withWritesNow } from "../changes.ts";
import type { Context } from "../context.ts";
import { undoInGateLock } from "../gateLock.ts";
import type { Ending, JobResult } from "../model/ending.ts";
import {
  bootIdOf,
  type EndedJob,
  type Job,
  type OpenJob,
  type RunningJob,
  startedMsOf,
  toEnded,
} from "../model/job.ts";
import { liftQuotaOfEnded } from "../placement/foundQuota.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { releaseKeeper } from "../placement/scopeKeeper.ts";
import { removeProgressFile } from "../progressFile.ts";
import { lastSeenMs } from "./lastSeen.ts";
import { isLeftByChoice } from "./observerLeft.ts";
import { evaluateSla } from "./sla.ts";

/**
 * Reads the usage of a job at the first sign of its end: a service's cgroup is removed with the service, and the job's
 * in it, while ffrtmp still waits for the exit status. The cgroup of `run` is in no service, that of `exec` can be.
 */
export function measureAtEnd(context: Context, job: RunningJob): Partial<Usage> {
  const isInPlace = job.cgroup.some(({ placedAs }) => placedAs === "in-place");
  return job.mode === "run" && !isInPlace ? {} : knownOnly(usageOf(job, jobCgroupOf(context, job)));
}

/** When a job ended: at the time when an observer saw its end, or at an unknown time before now. */
export type EndTime = { readonly wallMs: number; readonly bootMs: number } | "unseen";

interface EndFacts {
  byParent?: Partial<Usage>;
  atEnd?: Partial<Usage>;
  time?: EndTime;
}

export interface RecordedExit {
  result: JobResult;
  /** False when another ffrtmp had recorded the exit already; `result` is then the recorded one. */
  isOurs: boolean;
  /** Processes that the job left behind; its cgroup stays for them. */
  survivors: number[];
}

/**
 * Records a job's one result and removes its cgroup. The counters are read first, because they go with the cgroup. The
 * result is written before the removal, so that a death in between loses nothing: the job is not cleaned up yet then.
 * `byParent` is from wait(2), for what no cgroup measured. `atEnd` is from `measureAtEnd`, and overrides the counters now,
 * when a service may run again in the same cgroup. `time` is absent for an end that the caller has just observed.
 */
export function recordExit(
  context: Context,
  seen: OpenJob,
  ending: Ending,
  { byParent = {}, atEnd = {}, time }: EndFacts = {},
): RecordedExit {
  const { ledger, host } = context;
  // Another ffrtmp may have changed the job's limits since this one started to wait.
  const job = ledger.refresh(seen);
  const cgroup = jobCgroupOf(context, job);
  const usage: Usage = { ...UNKNOWN_USAGE, ...byParent, ...knownOnly(usageOf(job, cgroup)), ...atEnd };
  const tenantMemoryHits = readUsage(tenantCgroupOf(cgroup)).memoryMaxHits ?? 0;
  const hindered = ledger.hinderedTimes(job);
  const { key, outcomes } = job;
  const { compliant: slaCompliant, reason: slaReason } = evaluateSla(ending, outcomes, usage, {
    tenantMemoryHits,
    isLeftByChoice: ending.kind === "unobserved" && isLeftByChoice(ledger.events(job)),
    starvedSeconds: hindered?.starvedSeconds ?? 0,
  });
  const times = timesOf(context, job, ending.kind === "unobserved" ? "unseen" : time);
  const hinderedSeconds = hindered?.secondsBy ?? null;
  const result = { key, ending, ...times, slaCompliant, slaReason, outcomes, usage, hinderedSeconds };
  const recorded = ledger.recordResult(job, result);
  const isOurs = recorded !== "already ended";
  removeProgressFile(context.state, job);
  const survivors = cleanUpEnded(context, isOurs ? recorded : toEnded(job), cgroup);
  if (isOurs && survivors.length > 0) {
    ledger.addEvent(job, { atMs: host.now(), kind: "left_behind", detail: { pids: survivors } });
  }
  return { result: isOurs ? result : (ledger.result(job) ?? result), isOurs, survivors };
}

type Times = Pick<
  JobResult,
  "startMs" | "startBootMs" | "endMs" | "endBootMs" | "lastSeenMs" | "endedBeforeMs"
>;

/** Returns the times of a result. An end that no observer saw is between two times. */
function timesOf(context: Context, job: OpenJob, time: EndTime | undefined): Times {
  const { host, bootId } = context;
  const startMs = startedMsOf(job);
  const startBootMs = job.state === "running" ? job.startedBootMs : null;
  const now = { wallMs: host.now(), bootMs: host.bootNow() };
  if (time !== "unseen") {
    const { wallMs: endMs, bootMs: endBootMs } = time ?? now;
    return { startMs, startBootMs, endMs, endBootMs, lastSeenMs: null, endedBeforeMs: null };
  }
  const isThisBoot = bootIdOf(job) === bootId;
  // A job of an earlier boot ended before this one started.
  const endedBeforeMs = isThisBoot ? now.wallMs : now.wallMs - now.bootMs;
  const seenMs = job.state === "running" ? lastSeenMs(context, job, isThisBoot ? now : undefined) : null;
  return {
    startMs,
    startBootMs,
    endMs: now.wallMs,
    endBootMs: isThisBoot ? now.bootMs : null,
    // After the clock was set back, a time that it showed before can be later than the end.
    lastSeenMs: seenMs !== null && seenMs <= endedBeforeMs ? seenMs : null,
    endedBeforeMs,
  };
}

/**
 * Removes what an ended job left in the system, with the gates and the quotas of the governor that were recorded until it ended. Returns the processes that
 * are still in its cgroup.
 */
export function cleanUpEnded(context: Context, job: EndedJob, seen: JobCgroup): number[] {
  const { intent } = job;
  return undoInGateLock(context, { intent, changes: seen.changes }, () => cleanUpCgroup(context, job, seen));
}

function cleanUpCgroup(context: Context, job: EndedJob, seen: JobCgroup): number[] {
  const changes = withWritesNow(context, { ...job, changes: seen.changes }).changes.filter(isCgroupChange);
  const cgroup = { ...seen, changes };
  if (undoForCgroup(context, job, cgroup).length > 0) {
    liftQuotaOfEnded(job, cgroup);
    return listMembers(cgroup);
  }
  releaseKeeper(job);
  context.ledger.markCleanedUp(job);
  // Two jobs that end at the same time each leave a controller to the other: the last one recorded here disables it.
  const controllers = cgroup.changes.filter(({ kind }) => kind === "controller-enabled");
  undoForCgroup(context, job, { ...cgroup, changes: controllers });
  return [];
}

/**
 * Undoes the changes to cgroups of a job that has no process in its cgroup: after a failed start, a detach or an exit.
 * A controller or a gate that another job needs stays as it is. Returns the cgroups with processes or a limit of the job in them.
 */
export function undoForCgroup({ ledger }: Context, job: Job, cgroup: JobCgroup): string[] {
  let shared: ReadonlySet<string> | undefined;
  return removeJobCgroup(cgroup, (change) => {
    if (!isShared(change)) return false;
    shared ??= ledger.sharedChanges({ except: job.key });
    return shared.has(changeKey(change));
  });
}
