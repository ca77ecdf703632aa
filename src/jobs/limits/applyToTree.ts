import type { LimitOutcome } from "../../limits/outcome.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { executeLimits, type PlannedLimit } from "../../linux/cgroup/jobLimits.ts";
import { recordCounters } from "../../linux/cgroup/jobUsage.ts";
import { recordOwnersValues, recordWritten } from "../../linux/cgroup/ownerFiles.ts";
import { readProcFile } from "../../linux/host.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { changeAttributes, planAttributes } from "../../linux/proc/taskAttributes.ts";
import { errnoOf } from "../../sys/errno.ts";
import { recordCgroup } from "../changes.ts";
import type { Context } from "../context.ts";
import { limitsInForce } from "../job.ts";
import type { Job, OpenJob } from "../model/job.ts";
import { moveTreeIntoCgroup, withdrawFromOutsiders } from "../placement/moveTree.ts";
import { qualifyTotals } from "../placement/tenants.ts";

/**
 * Executes the planned limits of a job and then moves its processes: a process is limited from the instant it is inside.
 * Also finishes the work of an ffrtmp that died half-way. Returns the job as it is recorded then, and the outcomes,
 * which the caller records.
 */
export function governTree<J extends OpenJob>(
  context: Context,
  seen: J,
  cgroup: JobCgroup,
  root: ProcessIdentity,
  planned: readonly PlannedLimit[],
  { isFirst = true } = {},
): { job: J; outcomes: LimitOutcome[] } {
  const { host, ledger } = context;
  const limits = limitsInForce(seen);
  // Recorded before the writes: the owner's values that they replace, and the counters that do not start at 0.
  recordCounters(cgroup, { isFirst });
  recordOwnersValues(cgroup, limits);
  let job = recordCgroup(context, seen, cgroup);
  const applied = executeLimits(cgroup, planned);
  recordWritten(cgroup);
  job = recordCgroup(context, job, cgroup);
  const charged = chargedElsewhere(context, job, cgroup, root.pid, isFirst);
  const { pids, leftOutside } = moveTreeIntoCgroup(host, cgroup, root);
  const outcomes = withdrawFromOutsiders(
    qualifyTotals(context, job, cgroup, applied),
    cgroup,
    root.pid,
    leftOutside,
  );
  const attributes = planAttributes(host, pids, limits);
  // Recorded first: a record of a change that was not made does no harm, a change without a record would.
  if (attributes.changes.length > 0) {
    const changes = [...job.changes, ...attributes.changes];
    job = ledger.recordJournal(job, { cgroup: job.cgroup, changes });
  }
  const attributeOutcomes = changeAttributes(host, root.pid, limits, attributes);
  return {
    job,
    outcomes: [...outcomes.map((outcome) => onlyNewMemory(outcome, charged)), ...attributeOutcomes],
  };
}

/**
 * Describes the memory of the workload that is charged to another cgroup than the job's: charges do not move with a
 * process. `undefined` when all of it is charged to the job's.
 */
function chargedElsewhere(
  context: Context,
  { mode }: Job,
  { directories }: JobCgroup,
  pid: number,
  isFirst: boolean,
): string | undefined {
  // In place, everything is charged there already.
  if (directories.some(({ placedAs }) => placedAs === "in-place")) return undefined;
  if (directories.some(({ formerly }) => formerly !== undefined)) {
    return "what it held before it was regrouped stays charged to the cgroup above";
  }
  // `run` starts the workload inside.
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
