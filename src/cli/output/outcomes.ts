import type { Context } from "../../jobs/context.ts";
import type { Job } from "../../jobs/model/job.ts";
import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { readMemoryTotalBytes } from "../../linux/memory.ts";
import { warn } from "./messages.ts";

/** One warning for all limits that were asked for and are not in force: the workload runs all the same. */
export function warnOfMissingLimits(job: Job): void {
  const missing = job.outcomes.filter(({ outcome }) => outcome === "refused" || outcome === "unsupported");
  if (missing.length === 0) return;
  const reasons = Map.groupBy(missing, ({ because }) => because ?? "no reason given");
  const parts = [...reasons].map(
    ([because, limits]) => `${limits.map(nameOfOutcome).join(", ")} (${because})`,
  );
  warn(`job ${job.jobId} runs without ${parts.join("; ")}. What this machine allows: ffrtmp doctor`);
}

/** Limits that can never be reached here: not wrong, but most often a slip of the unit. */
export function warnOfSlips(context: Context, limits: Limits): void {
  const { memoryHighBytes = 0, memoryMaxBytes = 0 } = limits;
  if (memoryHighBytes === 0 && memoryMaxBytes === 0) return;
  const totalBytes = readMemoryTotalBytes(context.host) ?? Number.POSITIVE_INFINITY;
  const machine = `more than the ${Math.floor(totalBytes / 1024 ** 2)} MiB that this machine has, so it limits nothing`;
  if (memoryHighBytes > totalBytes) warn(`--memory-limit is ${machine}; without a unit it counts MiB`);
  if (memoryMaxBytes > totalBytes) warn(`--memory-max is ${machine}; without a unit it counts bytes`);
}

/** `cpu.max`, `tenant's cpu.max`. */
export function nameOfOutcome({ limit, of }: LimitOutcome): string {
  return of === "tenant" ? `tenant's ${limit}` : limit;
}

/** `applied 50000 100000`, `refused: EACCES …`. */
export function describeOutcome({ outcome, actual, because }: LimitOutcome): string {
  const held = actual === undefined ? outcome : `${outcome} ${actual}`;
  return because === undefined ? held : `${held}: ${because}`;
}
