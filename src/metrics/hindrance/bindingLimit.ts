import { limitsInForce } from "../../jobs/job.ts";
import type { Verdict } from "../../jobs/model/hindered.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { isInForce } from "../../limits/outcome.ts";
import type { CgroupLimitName } from "../../limits/table.ts";
import type { MeasuredUse } from "../measuredUse.ts";
import type { BindingLimit } from "./hindrance.ts";
import type { Evidence } from "./judge.ts";

/** A job that uses this part of a limit is at it: the kernel reclaims and delays a little below. */
const AT_LIMIT = 0.9;

/** Returns the limit of ours that a verdict is about. `null`: the job is not at one. */
export function bindingLimit(verdict: Verdict, evidence: Evidence, use: MeasuredUse): BindingLimit | null {
  if (verdict === "own_limit") {
    const isOwn = (evidence.throttledPercent ?? 0) >= (evidence.tenantThrottledPercent ?? 0);
    if (!isOwn) return limitOf(use, "cpu.max", "tenant");
    // It is tighter than the job's own, or there would be none.
    return limitOf(use, "cpu.max", "governor") ?? limitOf(use, "cpu.max");
  }
  if (verdict === "memory") {
    const charged = use.memory.chargedBytes ?? 0;
    const { memoryHighBytes, memoryMaxBytes } = limitsInForce(use.job);
    const isAt = (bytes: number | undefined) => bytes !== undefined && charged >= AT_LIMIT * bytes;
    if (isAt(memoryHighBytes)) return limitOf(use, "memory.high");
    return isAt(memoryMaxBytes) ? limitOf(use, "memory.max") : null;
  }
  return verdict === "io" && isAtIoMax(evidence, use.job) ? limitOf(use, "io.max") : null;
}

/**
 * The rates are those of all disks together: with a limit for one of several, less than this job's rate may be its
 * limit.
 */
function isAtIoMax({ disks }: Evidence, job: OpenJob): boolean {
  return (limitsInForce(job).ioMax ?? []).some((limit) =>
    (["rbps", "wbps", "riops", "wiops"] as const).some((name) => {
      const [rate, most] = [disks[name], limit[name]];
      return rate !== null && typeof most === "number" && rate >= AT_LIMIT * most;
    }),
  );
}

/** Only a limit that the kernel has in force holds a job back. */
function limitOf(
  { job }: MeasuredUse,
  name: BindingLimit["name"] & CgroupLimitName,
  of: BindingLimit["of"] = "job",
): BindingLimit | null {
  const isOurs = job.outcomes.some(
    (each) => each.limit === name && (each.of ?? "job") === of && isInForce(each),
  );
  return isOurs ? { name, of } : null;
}
