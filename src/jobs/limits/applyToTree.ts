import type { Limits } from "../../limits/limits.ts";
import { type LimitOutcome, onlyPartly } from "../../limits/outcome.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { executeLimits } from "../../linux/cgroup/jobLimits.ts";
import { recordCounters } from "../../linux/cgroup/jobUsage.ts";
import { recordOwnersValues, recordWritten } from "../../linux/cgroup/ownerFiles.ts";
import { type Host, readProcFile } from "../../linux/host.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { changeAttributes, planAttributes } from "../../linux/proc/taskAttributes.ts";
import { errnoOf } from "../../sys/errno.ts";
import { recordCgroup } from "../changes.ts";
import type { Context } from "../context.ts";
import { limitsInForce } from "../job.ts";
import type { OpenJob } from "../model/job.ts";
import { isOutsideCompanion, removeCompanion } from "../placement/companion.ts";
import { moveTreeIntoCgroup, withdrawFromOutsiders } from "../placement/moveTree.ts";
import { competesAsOneIn, planWithWeight, readWorkload } from "./planLimits.ts";

/**
 * Applies the limits of a job to its cgroup, which exists, and then moves its processes: a process is limited from the
 * instant it is inside. Also finishes what an ffrtmp that died has started. The caller records the outcomes. The limits are
 * planned here, because an owner may have tightened its own since `planAttach`. `total` is the total of the job's tenant.
 */
export function governTree<J extends OpenJob>(
  context: Context,
  seen: J,
  cgroup: JobCgroup,
  root: ProcessIdentity,
  { total, isFirst = true }: { total?: Limits | undefined; isFirst?: boolean } = {},
): { job: J; outcomes: LimitOutcome[] } {
  const { host, ledger } = context;
  const limits = limitsInForce(seen);
  // Recorded before the writes: the owner's values that they replace, and the counters that do not start at 0.
  recordCounters(cgroup, { isFirst });
  recordOwnersValues(cgroup, limits);
  let job = recordCgroup(context, seen, cgroup);
  const applied = executeLimits(cgroup, planWithWeight(cgroup, limits, readWorkload(host, root.pid), total));
  recordWritten(cgroup);
  job = recordCgroup(context, job, cgroup);
  const charged = chargedElsewhere(context, job, cgroup, root.pid, isFirst);
  const { pids, leftOutside } = moveTreeIntoCgroup(host, cgroup, root);
  if (isOutsideCompanion(leftOutside, root.pid)) {
    removeCompanion(host, cgroup);
    job = recordCgroup(context, job, cgroup);
  }
  if (isFirst && seen.mode !== "run") warnOfOneShare(context, seen, cgroup);
  const qualified = qualifyTotals(context, job, cgroup, applied);
  const outcomes = withdrawFromOutsiders(qualified, cgroup, root.pid, leftOutside).map((outcome) =>
    charged !== undefined && outcome.limit.startsWith("memory.")
      ? onlyPartly(outcome, `new allocations only: ${charged}`)
      : outcome,
  );
  const attributes = planAttributes(host, pids, limits);
  // Recorded first: a record of a change that was not made does no harm, a change without a record would.
  if (attributes.changes.length > 0)
    job = ledger.recordJournal(job, { changes: [...job.changes, ...attributes.changes] });
  return { job, outcomes: [...outcomes, ...changeAttributes(host, root.pid, limits, attributes)] };
}

/**
 * Describes the memory of the workload that is charged to another cgroup than the job's: charges do not move with a
 * process. Returns `undefined` when all of it is charged to the job's.
 */
function chargedElsewhere(
  { host }: Context,
  { mode }: OpenJob,
  { directories }: JobCgroup,
  pid: number,
  isFirst: boolean,
): string | undefined {
  // In place, everything is charged there already.
  if (directories.some(({ placedAs }) => placedAs === "in-place")) return undefined;
  if (directories.some(({ formerly }) => formerly !== undefined))
    return "what it had before it was moved to another cgroup stays charged to the cgroup above";
  // `run` starts the workload inside.
  if (mode === "run") return undefined;
  if (!isFirst) return "what it had before it was governed stays charged to the cgroup it came from";
  const bytes = readResidentBytes(host, pid);
  if (bytes === 0) return undefined;
  return `the ${Math.ceil(bytes / 1e6)} MB that it had before stay charged to the cgroup it came from`;
}

/** `run` has no earlier share that the job could lose. */
function warnOfOneShare(context: Context, job: OpenJob, cgroup: JobCgroup): void {
  const place = competesAsOneIn(cgroup, limitsInForce(job));
  if (place === undefined) return;
  const share = `competes for CPU time as one thread beside those in ${place}, however many it has`;
  context.warn(`job ${job.jobId} ${share}; to give it a share: an intent, or a CPU weight`);
}

/** Source: VmRSS of /proc/PID/status. 0 where it is hidden or the process is gone. */
function readResidentBytes(host: Host, pid: number): number {
  try {
    const kilobytes = readProcFile(host, `${pid}/status`).match(/^VmRSS:\s+(\d+) kB/m)?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return 0;
  }
}

/**
 * Adds to the outcomes of a tenant's total where it does not reach. The tenant's cgroup is a child of the cgroup that the
 * job's processes come from, because there the limits from before still apply. A tenant with processes in several cgroups
 * has a cgroup in each, and the total applies to each of them separately.
 */
function qualifyTotals(
  { ledger }: Context,
  { key, tenant }: OpenJob,
  { directories }: JobCgroup,
  outcomes: readonly LimitOutcome[],
): readonly LimitOutcome[] {
  if (!outcomes.some(({ of }) => of === "tenant")) return outcomes;
  const others = ledger.openJobs().filter((other) => other.tenant === tenant && other.key !== key);
  // The other cgroups of the tenant, in the first hierarchy where both jobs have one.
  const elsewhere = others.flatMap(({ changes }) => {
    for (const { hierarchy, tenant: ours } of directories) {
      for (const change of changes) {
        if (change.kind !== "cgroup-created" || change.role !== "tenant") continue;
        if (change.hierarchy === hierarchy.key) return change.path === ours ? [] : [change.path];
      }
    }
    return [];
  });
  if (elsewhere.length === 0) return outcomes;
  const places = [...new Set(elsewhere)].join(", ");
  const because = `for its jobs in one place only: others of ${tenant} are in ${places}`;
  return outcomes.map((outcome) => (outcome.of === "tenant" ? onlyPartly(outcome, because) : outcome));
}
