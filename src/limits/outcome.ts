import type { LimitName } from "./table.ts";

interface Request {
  limit: LimitName;
  wanted: string;
  /** The cgroup further up that is as tight or tighter, so that nothing was written. */
  heldBy?: string;
  /** `tenant`: the limit is the total of all jobs of the tenant. Absent: it is the job's own. */
  of?: "tenant";
}

/** The result of one requested limit, as read back from the kernel after the write. */
export type LimitOutcome = Request &
  (
    | { outcome: "applied"; actual: string; because?: string }
    | { outcome: "partial"; actual: string; because: string }
    | { outcome: "refused"; actual?: string; because: string }
    | { outcome: "unsupported"; actual?: never; because: string }
  );

/** Returns the outcome of a limit that was written where it does not reach the workload. */
export function refusedInstead(
  { limit, of, wanted }: LimitOutcome,
  because: string,
): Extract<LimitOutcome, { outcome: "refused" }> {
  return { limit, ...(of ? { of } : {}), outcome: "refused", wanted, because };
}
