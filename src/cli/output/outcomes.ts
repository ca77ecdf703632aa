import { availableParallelism } from "node:os";
import type { Context } from "../../jobs/context.ts";
import type { Job } from "../../jobs/model/job.ts";
import type { Limits } from "../../limits/limits.ts";
import { cameTooLate, isInForce, type LimitOutcome } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";
import { readMemoryTotalBytes } from "../../linux/memory.ts";
import { takeLikelyMistakes } from "../options/limitOptions.ts";
import { warn } from "./messages.ts";
import type { Pair } from "./table.ts";

/** A quota of as many cores is more often a number of µs, as in Docker's --cpu-quota. */
const MANY_CORES = 100;

/** The limits whose values name parts of the machine, of which some can be missing. */
const NAMES_OF_THE_MACHINE: readonly LimitName[] = ["io.max", "cpuset.cpus"];

/** Prints one warning for all requested limits that are not in force. The workload runs without them. */
export function warnOfMissingLimits(job: Job): void {
  for (const { limit, outcome, because } of job.outcomes) {
    // The other limits apply in part as a matter of course: memory, for what is allocated from now on.
    if (outcome === "partial" && NAMES_OF_THE_MACHINE.includes(limit))
      warn(`job ${job.jobId} has ${limit} only in part (${because})`);
  }
  const missing = job.outcomes.filter((outcome) => !isInForce(outcome) && !cameTooLate(outcome));
  if (missing.length === 0) return;
  const reasons = Map.groupBy(missing, ({ because }) => because ?? "no reason given");
  const parts = [...reasons].map(
    ([because, limits]) => `${limits.map(nameOfOutcome).join(", ")} (${because})`,
  );
  warn(`job ${job.jobId} runs without ${parts.join("; ")}. To see what this machine allows: ffrtmp doctor`);
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

/** Returns the name of a limit: `cpu.max`, `tenant's cpu.max`. */
export function nameOfOutcome({ limit, of }: LimitOutcome): string {
  return of === "tenant" ? `tenant's ${limit}` : limit;
}

/** Returns each outcome by the name of its limit, as text: `applied 50000 100000`, `refused: EACCES …`. */
export function outcomePairs({ outcomes }: Pick<Job, "outcomes">): Pair[] {
  return outcomes.map((each) => {
    const result = each.actual === undefined ? each.outcome : `${each.outcome} ${each.actual}`;
    return [nameOfOutcome(each), each.because === undefined ? result : `${result}: ${each.because}`];
  });
}
