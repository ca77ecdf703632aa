import type { Limits } from "../../limits/limits.ts";
import { isInForce, type LimitOutcome } from "../../limits/outcome.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { applyCgroupLimits, liftCgroupLimits } from "../../linux/cgroup/jobLimits.ts";
import { recordOwnersValues, recordWritten } from "../../linux/cgroup/ownerFiles.ts";
import { isCgroupChange } from "../../linux/change.ts";
import { recordCgroup } from "../changes.ts";
import type { Context } from "../context.ts";
import { withGateLock } from "../gateLock.ts";
import type { RunningJob } from "../model/job.ts";
import {
  findPlace,
  governedQuotaOf,
  PERIOD_USEC,
  readGovernedQuota,
  readOwnQuota,
  textOf,
  writeOwnQuota,
} from "../placement/foundQuota.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";

/** The smallest quota that the kernel takes: min_cfs_quota_period of kernel/sched/core.c. */
const MIN_QUOTA_USEC = 1000;

/**
 * Sets the quota of the governor in the cgroup of a job. It is recorded before the write, and read back. `because` says what
 * is left. Where something else limits the job as tightly, it gets none. Returns the job as it is recorded then; `undefined`
 * when nothing was done: it has ended, something else has written its quota, another process changes gates or limits, or the
 * ledger cannot be written.
 */
export function setGovernedQuota(
  context: Context,
  { key }: Pick<RunningJob, "key">,
  cores: number,
  because: string,
): RunningJob | undefined {
  const set = withGateLock(context, () => setInLock(context, key, cores, because));
  return set === "busy" ? undefined : set;
}

function setInLock(context: Context, key: string, cores: number, because: string): RunningJob | undefined {
  // Records that wait twice a second would take the room of all others.
  if (isWaiting(context)) return undefined;
  const seen = runningJob(context, key);
  if (seen === undefined) return undefined;
  const cgroup = jobCgroupOf(context, seen);
  // The limits of the job may have changed since the caller has decided.
  const found = readGovernedQuota(seen, cgroup);
  if (found === "unavailable" || "found" in found) return undefined;
  if (found.ceilingCores !== null && found.ceilingCores <= cores) return liftGovernedQuota(context, seen);
  const quotaUsec = Math.max(MIN_QUOTA_USEC, Math.floor(cores * PERIOD_USEC));
  const limits: Limits = { cpuMax: { quotaUsec, periodUsec: PERIOD_USEC } };
  const pending: LimitOutcome = {
    limit: "cpu.max",
    of: "governor",
    outcome: "partial",
    wanted: textOf(limits.cpuMax),
    actual: textOf(readOwnQuota(cgroup)),
    because: `${because}; not written yet`,
  };
  recordOwnersValues(cgroup, limits);
  let job = record(context, recordBeforeWrite(context, seen, cgroup), pending);
  // After a death, nothing would tell the quota from that of an operator.
  if (isWaiting(context)) return undefined;
  const [outcome] = applyCgroupLimits(cgroup, limits);
  recordWritten(cgroup, limits);
  if (runningJob(context, key) === undefined) {
    // It has ended since the record, and was undone before the write. Elsewhere than in place, it can have left processes.
    if (findPlace(cgroup)?.placedAs === "in-place") liftCgroupLimits(cgroup, ["cpu.max"]);
    else writeOwnQuota(seen, cgroup);
    return undefined;
  }
  job = recordOwners(context, job, cgroup);
  if (outcome === undefined || !isInForce(outcome) || outcome.heldBy !== undefined)
    return liftGovernedQuota(context, job);
  const reason = [because, outcome.because].filter(Boolean).join("; ");
  return record(context, job, { ...outcome, of: "governor", because: reason });
}

/**
 * Puts back the quota that a job has without the governor: its own, or none. One that something else has written since
 * stays. Returns the job as it is recorded now: still with a quota of the governor if that could not be removed, or not be
 * looked at.
 */
export function liftGovernedQuota(context: Context, seen: RunningJob, because?: string): RunningJob {
  const job = runningJob(context, seen.key);
  const quota = job && governedQuotaOf(job);
  if (job === undefined || quota === undefined) return job ?? seen;
  const cgroup = jobCgroupOf(context, job);
  const found = readGovernedQuota(job, cgroup);
  if (found === "unavailable" && isHidden(context, job, cgroup)) return job;
  const isInForceStill = found !== "unavailable" && "quotaCores" in found && found.quotaCores !== null;
  const failures = isInForceStill ? putBack(context, job, cgroup) : [];
  const current = recordOwners(context, job, cgroup);
  if (failures.length > 0) {
    const reason = `could not be removed: ${failures.join("; ")}`;
    if (quota.because !== reason)
      context.warn(`job ${job.jobId}: the quota of the governor ${reason}; it is tried again`);
    const actual = quota.actual ?? quota.wanted;
    return record(context, current, { ...quota, outcome: "partial", actual, because: reason });
  }
  const lifted = removeRecord(context, current);
  if (because !== undefined) addGovernorEvent(context, lifted, because, job);
  return lifted;
}

/**
 * Lifts the quotas of all jobs of a tenant. On v1 the kernel refuses a total below the quota of a job in it, and all jobs that
 * count toward the total get its outcome.
 */
export function liftQuotasOfTenant(context: Context, tenant: string): void {
  for (const job of context.ledger.openJobsWithIntent())
    if (job.state === "running" && job.tenant === tenant) liftGovernedQuota(context, job);
}

/**
 * Removes the record of a quota that something else has written since, and leaves the quota as it is. Returns the job as it is
 * recorded then; `undefined` when nothing was done: the quota is as it should be by now, or another process changes it.
 */
export function forgetGovernedQuota(
  context: Context,
  { key }: Pick<RunningJob, "key">,
): RunningJob | undefined {
  const forgotten = withGateLock(context, () => {
    const job = runningJob(context, key);
    const found = job && readGovernedQuota(job, jobCgroupOf(context, job));
    if (job === undefined || found === undefined || found === "unavailable") return undefined;
    return "found" in found ? removeRecord(context, job) : undefined;
  });
  return forgotten === "busy" ? undefined : forgotten;
}

function removeRecord({ ledger }: Context, job: RunningJob): RunningJob {
  return ledger.recordOutcomes(
    job,
    job.outcomes.filter(({ of }) => of !== "governor"),
  );
}

function putBack(context: Context, job: RunningJob, cgroup: JobCgroup): string[] {
  recordBeforeWrite(context, job, cgroup);
  return writeOwnQuota(job, cgroup);
}

/** Records that the owner's file may have either value: after a death, the owner's is restored all the same. */
function recordBeforeWrite(context: Context, job: RunningJob, cgroup: JobCgroup): RunningJob {
  const changes = cgroup.changes.map((change) =>
    change.kind === "file-written" && change.path.endsWith("/cpu.max") ? { ...change, after: null } : change,
  );
  return recordOwners(context, job, { ...cgroup, changes });
}

/** Only in place a quota has a part in the journal, which must keep what it has of hierarchies that are not visible now. */
function recordOwners(context: Context, job: RunningJob, cgroup: JobCgroup): RunningJob {
  return findPlace(cgroup)?.placedAs === "in-place" ? recordCgroup(context, job, cgroup) : job;
}

function record({ ledger }: Context, job: RunningJob, outcome: LimitOutcome): RunningJob {
  return ledger.recordOutcomes(job, [...job.outcomes.filter(({ of }) => of !== "governor"), outcome]);
}

/** Records that the governor has begun to hold a job, or has let it go: not each step. `before`: the job as it was before. */
export function addGovernorEvent(
  { host, ledger }: Context,
  job: RunningJob,
  because: string,
  before?: RunningJob,
): void {
  const texts = (from?: RunningJob): string[] => {
    const quota = from && governedQuotaOf(from);
    return quota === undefined ? [] : [`governor ${quota.limit} ${quota.wanted}`];
  };
  const detail = { because, before: texts(before), now: texts(job) };
  ledger.addEvent(job, { atMs: host.now(), kind: "limits_changed", detail });
}

/** Returns whether changes of the ledger are in memory only. */
function isWaiting({ ledger }: Context): boolean {
  return ledger.flush() > 0;
}

function runningJob({ ledger }: Context, key: string): RunningJob | undefined {
  const job = ledger.job(key);
  return job?.state === "running" ? job : undefined;
}

/** Returns whether a part of the job's cgroup is not visible now, so that a quota can be there still. */
function isHidden({ hierarchies }: Context, job: RunningJob, cgroup: JobCgroup): boolean {
  const isUnusable = cgroup.changes.length === 0 && job.changes.some(isCgroupChange);
  return isUnusable || job.cgroup.some((each) => !hierarchies.some(({ key }) => key === each.hierarchy));
}
