import type { LimitOutcome } from "../../kernel/limits.ts";
import type { JobRecord } from "../../ledger/records.ts";
import { warn } from "./messages.ts";

/** One warning for all limits that were asked for and are not in force: the workload runs all the same. */
export function warnOfMissingLimits(job: JobRecord): void {
  const missing = job.outcomes.filter(({ outcome }) => outcome === "refused" || outcome === "unsupported");
  if (missing.length === 0) return;
  const reasons = Map.groupBy(missing, ({ because }) => because ?? "no reason given");
  const parts = [...reasons].map(
    ([because, limits]) => `${limits.map(({ limit }) => limit).join(", ")} (${because})`,
  );
  warn(`job ${job.jobId} runs without ${parts.join("; ")}. What this machine allows: ffrtmp doctor`);
}

/** `applied 50000 100000`, `refused: EACCES …`. */
export function describeOutcome({ outcome, actual, because }: LimitOutcome): string {
  const held = actual === undefined ? outcome : `${outcome} ${actual}`;
  return because === undefined ? held : `${held}: ${because}`;
}
