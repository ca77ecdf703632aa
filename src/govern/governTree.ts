import { applyCgroupLimits, type JobCgroup } from "../kernel/cgroup/jobCgroup.ts";
import { errnoOf, readProcFile } from "../kernel/host.ts";
import type { LimitOutcome } from "../kernel/limits.ts";
import type { ProcessIdentity } from "../kernel/proc/identity.ts";
import { readStat } from "../kernel/proc/stat.ts";
import type { JobRecord } from "../ledger/records.ts";
import { gatherTree, withdrawFromOutsiders } from "./gather.ts";
import type { Governor } from "./governor.ts";
import { keepWeight } from "./keepWeight.ts";
import { changeAttributes, planAttributes } from "./taskAttributes.ts";

/**
 * Limits first, then the processes: from the instant it is inside, a process is limited.
 * Also finishes what a governor that died half-way had begun.
 */
export function governTree(
  governor: Governor,
  job: JobRecord,
  cgroup: JobCgroup,
  root: ProcessIdentity,
): void {
  const { host, ledger } = governor;
  const applied = applyCgroupLimits(cgroup, job.limits);
  const stat = readStat(host, root.pid);
  if (stat !== "gone") keepWeight(cgroup, job.limits, job.limits.nice ?? stat.nice);
  // What `run` started was born inside: all its memory is charged there.
  const chargedBytes = job.mode === "run" ? 0 : readResidentBytes(governor, root.pid);
  const { pids, leftOutside } = gatherTree(host, cgroup, root);
  const outcomes = withdrawFromOutsiders(applied, cgroup, root.pid, leftOutside);
  const plan = planAttributes(host, pids, job.limits);
  // On record before it is done: a record of a change that was not made does no harm, the reverse would.
  if (plan.touched.length > 0) ledger.change(job, { touched: [...job.touched, ...plan.touched] });
  const attributeOutcomes = changeAttributes(host, root.pid, job.limits, plan);
  job.outcomes = [...outcomes.map((outcome) => onlyNewMemory(outcome, chargedBytes)), ...attributeOutcomes];
}

/** Memory that was allocated before stays charged where it was: cgroups do not move charges. */
function onlyNewMemory(outcome: LimitOutcome, chargedBytes: number): LimitOutcome {
  const isInForce = outcome.outcome === "applied" || outcome.outcome === "partial";
  if (!outcome.limit.startsWith("memory.") || !isInForce || chargedBytes === 0) return outcome;
  const because = `new allocations only: the ${Math.ceil(chargedBytes / 1e6)} MB that it held before stay charged to the cgroup it came from`;
  return { ...outcome, outcome: "partial", because: [outcome.because, because].filter(Boolean).join("; ") };
}

/** Source: VmRSS of /proc/PID/status. 0 where it is hidden or the process is gone. */
function readResidentBytes({ host }: Governor, pid: number): number {
  try {
    const kilobytes = readProcFile(host, `${pid}/status`).match(/^VmRSS:\s+(\d+) kB/m)?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return 0;
  }
}
