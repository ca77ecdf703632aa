import type { OpenJob } from "../jobs/model/job.ts";
import { isInForce } from "../limits/outcome.ts";
import type { LimitName } from "../limits/table.ts";

// 150000 100000
/** Returns the CPU quota that the kernel holds, in cores. `null`: none, or not one of the job's own. */
export function cpuLimitCores(job: OpenJob): number | null {
  const [quotaUsec, periodUsec] = inForce(job, "cpu.max")?.split(" ").map(Number) ?? [];
  return quotaUsec && periodUsec ? quotaUsec / periodUsec : null;
}

// 536870912
/** Returns a memory limit that the kernel holds. `null`: none, or not one of the job's own. */
export function memoryLimitBytes(job: OpenJob, limit: "memory.high" | "memory.max"): number | null {
  const bytes = Number(inForce(job, limit));
  return bytes > 0 ? bytes : null;
}

/** Returns what the kernel had after the write. */
function inForce({ outcomes }: OpenJob, limit: LimitName): string | undefined {
  return outcomes.find((outcome) => outcome.limit === limit && outcome.of === undefined && isInForce(outcome))
    ?.actual;
}
