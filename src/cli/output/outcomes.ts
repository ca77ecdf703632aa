import { availableParallelism } from "node:os";
import type { Context } from "../../jobs/context.ts";
import type { Job } from "../../jobs/model/job.ts";
import type { Limits } from "../../limits/limits.ts";
import { cameTooLate, isInForce, type LimitOutcome } from "../../limits/outcome.ts";
import { readMemoryTotalBytes } from "../../linux/memory.ts";
import { takeLikelyMistakes } from "../options/limitOptions.ts";
import { warn } from "./messages.ts";
import type { Pair } from "./table.ts";

/** A quota of as many cores is more often a number of µs, as in Docker's --cpu-quota. */
const MANY_CORES = 100;

/**
 * Prints one warning for all requested limits that are not in force, and one for those that are only in part. The workload
 * runs all the same.
 */
export function warnOfMissingLimits({ jobId, outcomes }: Job): void {
  const missing = outcomes.filter((outcome) => !isInForce(outcome) && !cameTooLate(outcome));
  const partial = outcomes.filter(({ outcome }) => outcome === "partial");
  if (missing.length > 0)
    warn(`job ${jobId} runs without ${reasonsOf(missing)}. To see what this machine allows: ffrtmp doctor`);
  if (partial.length > 0) warn(`job ${jobId} runs with only part of ${reasonsOf(partial)}`);
}

/** Returns the names of limits with the reason that they share: `cpu.max, pids.max (no cgroup); nice (EACCES)`. */
function reasonsOf(outcomes: readonly LimitOutcome[]): string {
  const reasons = Map.groupBy(outcomes, ({ because }) => because ?? "no reason given");
  return [...reasons]
    .map(([because, limits]) => `${limits.map(nameOfOutcome).join(", ")} (${because})`)
    .join("; ");
}

/** Warns of values that are valid, but usually meant as something else, or a limit that this machine can never reach. */
export function warnOfLikelyMistakes(context: Context, limits: Limits): void {
  for (const mistake of takeLikelyMistakes()) warn(mistake);
  const { cpuMax, memoryHighBytes = 0, memoryMaxBytes = 0 } = limits;
  const cores = typeof cpuMax?.quotaUsec === "number" ? cpuMax.quotaUsec / cpuMax.periodUsec : 0;
  const cpus = cores < MANY_CORES ? cores : availableParallelism();
  if (cores > cpus)
    warn(
      `a CPU quota of ${cores} cores is more than the ${cpus} CPUs of this machine and has no effect; 100 is one core`,
    );
  if (memoryHighBytes === 0 && memoryMaxBytes === 0) return;
  const totalBytes = readMemoryTotalBytes(context.host) ?? Number.POSITIVE_INFINITY;
  const machine = `more than the ${Math.floor(totalBytes / 1024 ** 2)} MiB of this machine and has no effect`;
  if (memoryHighBytes > totalBytes) warn(`--memory-limit is ${machine}; a number without a unit is in MiB`);
  if (memoryMaxBytes > totalBytes) warn(`--memory-max is ${machine}; a number without a unit is in bytes`);
}

/** Returns the name of a limit: `cpu.max`, `tenant's cpu.max`, `governor's cpu.max`. */
export function nameOfOutcome({ limit, of }: LimitOutcome): string {
  return of === undefined ? limit : `${of}'s ${limit}`;
}

/** Returns each outcome by the name of its limit, as text: `applied 50000 100000`, `refused: EACCES …`. */
export function outcomePairs({ outcomes }: Pick<Job, "outcomes">): Pair[] {
  return outcomes.map((each) => {
    const result = each.actual === undefined ? each.outcome : `${each.outcome} ${each.actual}`;
    return [nameOfOutcome(each), each.because === undefined ? result : `${result}: ${each.because}`];
  });
}
