import type { LimitName } from "./table.ts";

interface Request {
  limit: LimitName;
  wanted: string;
  /** The cgroup further up that is as tight or tighter, so that nothing was written. */
  heldBy?: string;
  /**
   * `tenant`: the limit is the total of all jobs of the tenant. `governor`: the headroom governor of `watch` has set it, in the
   * job's own cgroup. Absent: it is the job's own.
   */
  of?: "tenant" | "governor";
}

/** The result of one requested limit, as read back from the kernel after the write. */
export type LimitOutcome = Request &
  (
    | { outcome: "applied"; actual: string; because?: string }
    | { outcome: "partial"; actual: string; because: string }
    /** `processHadEnded`: the process had ended before the limit could be applied to it. */
    | { outcome: "refused"; actual?: string; because: string; processHadEnded?: true }
    | { outcome: "unsupported"; actual?: never; because: string }
  );

/** Returns true for a limit that the kernel has in force, at least in part. */
export function isInForce(outcome: LimitOutcome): boolean {
  return outcome.outcome === "applied" || outcome.outcome === "partial";
}

/** Adds a reason why a limit applies only in part. A limit that is not in force, or has that reason, stays as it is. */
export function onlyPartly(outcome: LimitOutcome, reason: string): LimitOutcome {
  if (outcome.outcome === "refused" || outcome.outcome === "unsupported") return outcome;
  if (outcome.because?.includes(reason)) return outcome;
  const because = [outcome.because, reason].filter(Boolean).join("; ");
  return { ...outcome, outcome: "partial", because };
}

/** Returns true for a limit that could not be applied because the process had ended by itself. */
export function cameTooLate(outcome: LimitOutcome): boolean {
  return outcome.outcome === "refused" && outcome.processHadEnded === true;
}

/** Returns the outcome of a limit that was written where it does not reach the workload. */
export function refusedInstead(
  { limit, of, wanted }: LimitOutcome,
  because: string,
): Extract<LimitOutcome, { outcome: "refused" }> {
  return { limit, ...(of ? { of } : {}), outcome: "refused", wanted, because };
}
