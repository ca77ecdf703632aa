import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { applyCgroupLimits, type JobCgroup, rememberCounted } from "../../linux/cgroup/jobCgroup.ts";
import { storeJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import { limitFilesOf, recordWritten, saveValues } from "../../linux/cgroup/savedValues.ts";
import { readProcFile } from "../../linux/host.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { errnoOf } from "../../sys/errno.ts";
import type { Context } from "../context.ts";
import { limitsInForce } from "../job.ts";
import type { Job, OpenJob } from "../model/job.ts";
import { moveTreeIntoCgroup, withdrawFromOutsiders } from "../placement/moveTree.ts";
import { applyTotal } from "../placement/tenants.ts";
import { changeAttributes, planAttributes } from "./taskAttributes.ts";
import { setWeightFromNice } from "./weightFromNice.ts";

/**
 * Applies the limits and then moves the processes: a process is limited from the instant it is inside.
 * Also finishes the work of an ffrtmp that died half-way. Returns the job as it is recorded then, and the outcomes,
 * which the caller records.
 */
export function governTree<J extends OpenJob>(
  context: Context,
  job: J,
  cgroup: JobCgroup,
  root: ProcessIdentity,
  { total = {}, isFirst = true }: { total?: Limits | undefined; isFirst?: boolean } = {},
): { job: J; outcomes: LimitOutcome[] } {
  const { host, ledger } = context;
  const limits = limitsInForce(job);
  // The total first: a limit that is not tighter than it need not be written.
  const totals = applyTotal(context, job, cgroup, total);
  const remembered = applyRemembering(context, job, cgroup, limits, isFirst);
  const applied = [...remembered.outcomes, ...totals];
  const stat = readStat(host, root.pid);
  if (stat !== "gone") setWeightFromNice(cgroup, limits, limits.nice ?? stat.nice);
  const charged = chargedElsewhere(context, job, cgroup, root.pid, isFirst);
  const { pids, leftOutside } = moveTreeIntoCgroup(host, cgroup, root);
  const outcomes = withdrawFromOutsiders(applied, cgroup, root.pid, leftOutside);
  const plan = planAttributes(host, pids, limits);
  // Recorded first: a record of a change that was not made does no harm, a change without a record would.
  const touched = [...job.touched, ...plan.touched];
  const changed = plan.touched.length > 0 ? ledger.recordTouched(remembered.job, touched) : remembered.job;
  const attributeOutcomes = changeAttributes(host, root.pid, limits, plan);
  return {
    job: changed,
    outcomes: [...outcomes.map((outcome) => onlyNewMemory(outcome, charged)), ...attributeOutcomes],
  };
}

/**
 * What is written in place goes over somebody else's values, and what is counted in cgroups of others, too, goes on from
 * their counts: both are on record before.
 */
function applyRemembering<J extends OpenJob>(
  { host: { cgroupFs }, ledger }: Context,
  job: J,
  cgroup: JobCgroup,
  limits: Limits,
  isFirst: boolean,
): { job: J; outcomes: LimitOutcome[] } {
  const isCountNew = rememberCounted(cgroup, { isFirst });
  const inPlace = cgroup.directories.filter(({ placedAs }) => placedAs === "in-place");
  const isNew = inPlace.map(({ path, heldBefore }) =>
    saveValues(cgroupFs, path, limitFilesOf(limits), heldBefore),
  );
  const before = isCountNew || isNew.includes(true) ? ledger.recordCgroup(job, storeJobCgroup(cgroup)) : job;
  const outcomes = applyCgroupLimits(cgroup, limits);
  for (const { path, heldBefore } of inPlace) recordWritten(cgroupFs, path, heldBefore);
  const after = inPlace.length > 0 ? ledger.recordCgroup(before, storeJobCgroup(cgroup)) : before;
  return { job: after, outcomes };
}

/**
 * What of the workload's memory is charged to another cgroup than the job's, in words: charges do not move with a
 * process. `undefined` when all is inside.
 */
function chargedElsewhere(
  context: Context,
  { mode }: Job,
  { directories }: JobCgroup,
  pid: number,
  isFirst: boolean,
): string | undefined {
  // In place all that it holds is charged there already.
  if (directories.some(({ placedAs }) => placedAs === "in-place")) return undefined;
  if (directories.some(({ formerly }) => formerly !== undefined)) {
    return "what it held before it was regrouped stays charged to the cgroup above";
  }
  // What `run` started was born inside.
  if (mode === "run") return undefined;
  if (!isFirst) return "what it held before it was governed stays charged to the cgroup it came from";
  const bytes = readResidentBytes(context, pid);
  if (bytes === 0) return undefined;
  return `the ${Math.ceil(bytes / 1e6)} MB that it held before stay charged to the cgroup it came from`;
}

function onlyNewMemory(outcome: LimitOutcome, charged: string | undefined): LimitOutcome {
  const isInForce = outcome.outcome === "applied" || outcome.outcome === "partial";
  if (!outcome.limit.startsWith("memory.") || !isInForce || charged === undefined) return outcome;
  const because = `new allocations only: ${charged}`;
  return { ...outcome, outcome: "partial", because: [outcome.because, because].filter(Boolean).join("; ") };
}

/** Source: VmRSS of /proc/PID/status. 0 where it is hidden or the process is gone. */
function readResidentBytes({ host }: Context, pid: number): number {
  try {
    const kilobytes = readProcFile(host, `${pid}/status`).match(/^VmRSS:\s+(\d+) kB/m)?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return 0;
  }
}
