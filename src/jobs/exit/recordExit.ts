import type { JobRecord, ResultRecord } from "../../ledger/records.ts";
import { UNKNOWN_USAGE, type Usage } from "../../limits/usage.ts";
import { type JobCgroup, listMembers, readUsage, tenantCgroupOf } from "../../linux/cgroup/jobCgroup.ts";
import { removeJobCgroup } from "../../linux/cgroup/makeJobCgroup.ts";
import { decodeWaitStatus, signalName } from "../../sys/waitStatus.ts";
import type { Context } from "../context.ts";
import { LEFT_BEHIND } from "../model/jobEvent.ts";
import { handOverControllers } from "../placement/handOverControllers.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { leaveScope } from "../placement/jobScope.ts";
import { judge } from "./sla.ts";

/** What is known of a job's end. */
export type Ending = Pick<
  ResultRecord,
  "ending" | "exitCode" | "signal" | "exitEvidence" | "exitUnknownBecause"
>;

/** An end that was seen, as the kernel told it. */
export function exitedWith(waitStatus: number, evidence: NonNullable<ResultRecord["exitEvidence"]>): Ending {
  const { code, signal } = decodeWaitStatus(waitStatus);
  return {
    ending: "exited",
    exitCode: code,
    signal: signal === null ? null : signalName(signal),
    exitEvidence: evidence,
    exitUnknownBecause: null,
  };
}

/** An end without evidence of how. Unknown is never 0. */
export function endedUnknown(ending: ResultRecord["ending"], because: string): Ending {
  return { ending, exitCode: null, signal: null, exitEvidence: null, exitUnknownBecause: because };
}

/**
 * What a job has used, to be read at the first sign of its end: a service's cgroup goes with the service, and the job's
 * in it, counters and all, while we still wait for how it ended. What `run` started lies in a place of its own.
 */
export function measureAtEnd(context: Context, job: JobRecord): Partial<Usage> {
  return job.mode === "run" ? {} : knownOnly(usageOf(job, jobCgroupOf(context, job)));
}

/** What was known of a job's usage before it is closed. */
export interface EarlierMeasures {
  /** What wait told the parent; used where no cgroup measured. */
  byParent?: Partial<Usage>;
  /** By `measureAtEnd`; goes before what is read later, when a service may have been started again in the same cgroup. */
  atEnd?: Partial<Usage>;
}

export interface RecordedExit {
  result: ResultRecord;
  /** False when another ffrtmp had closed the job already; `result` is then what stands in the ledger. */
  isOurs: boolean;
  /** Processes that the job left behind; its cgroup stays for them. */
  survivors: number[];
}

/**
 * Records a job's one result and removes its cgroup.
 * The counters are read first, because they go with the cgroup; the result is written before it goes, so that
 * a death in between loses nothing: what is left is found by the ledger's mark that the job is not released.
 */
export function recordExit(
  context: Context,
  job: JobRecord,
  ending: Ending,
  { byParent = {}, atEnd = {} }: EarlierMeasures = {},
): RecordedExit {
  // Its limits may have been changed by another ffrtmp since this one began to wait.
  context.ledger.refresh(job);
  const cgroup = jobCgroupOf(context, job);
  const usage: Usage = { ...UNKNOWN_USAGE, ...byParent, ...knownOnly(usageOf(job, cgroup)), ...atEnd };
  const verdict = judge(ending, job.outcomes, usage, readUsage(tenantCgroupOf(cgroup)).memoryMaxHits ?? 0);
  const result: ResultRecord = {
    key: job.key,
    ...ending,
    startMs: job.startedMs,
    endMs: context.host.now(),
    slaCompliant: verdict.compliant,
    slaReason: verdict.reason,
    outcomes: job.outcomes,
    usage,
  };
  const isOurs = context.ledger.end(job, result);
  const survivors = releaseEnded(context, job, cgroup);
  if (isOurs && survivors.length > 0) {
    context.ledger.addEvent(job, context.host.now(), LEFT_BEHIND, { pids: survivors });
  }
  return { result: isOurs ? result : (context.ledger.result(job) ?? result), isOurs, survivors };
}

/** Removes what an ended job left in the system. Returns the processes that live on in its cgroup. */
export function releaseEnded(context: Context, job: JobRecord, cgroup: JobCgroup): number[] {
  handOverControllers(context, job, cgroup);
  const left = removeJobCgroup(cgroup);
  if (left.length > 0) return listMembers(cgroup);
  leaveScope(job);
  context.ledger.change(job, { released: true });
  return [];
}

function knownOnly(usage: Usage): Partial<Usage> {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null));
}
