import { cameTooLate, isInForce, type LimitOutcome } from "../../limits/outcome.ts";
import type { Usage } from "../../limits/usage.ts";
import type { Ending } from "../model/ending.ts";

/** The process ended by itself while its limits were being applied: there was nothing left to limit. */
export const ENDED_BEFORE_LIMITS = "ended_before_limits";

/** A live job fell behind for at least 30 s, stopped by a CPU quota of ours. */
const STARVED_BY_OWN_LIMIT = "starved_by_own_limit";

/** The operator had chosen that no ffrtmp observes the end. */
const UNOBSERVED_BY_CHOICE = "unobserved_by_choice";

const COMPLIANT = [
  "completed_successfully",
  "ended_with_error",
  "ended_by_signal",
  ENDED_BEFORE_LIMITS,
  "detached",
  UNOBSERVED_BY_CHOICE,
];

interface Circumstances {
  /** The number of times that the jobs of its tenant reached the hard memory limit of their total. */
  readonly tenantMemoryHits?: number;
  /** The last observer left by the operator's choice, and none has followed. */
  readonly isLeftByChoice?: boolean;
  /** The time for which it was live and too slow because of a CPU quota that ffrtmp had set. */
  readonly starvedSeconds?: number;
}

/**
 * Judges the platform, not the job: a job that fails by its own code was governed well. Part of the job's immutable
 * result, so that a later change of these rules changes no past verdict. `reason` is one word, with details in parentheses if any.
 */
export function evaluateSla(
  ending: Ending,
  outcomes: readonly LimitOutcome[],
  usage: Usage,
  circumstances: Circumstances = {},
): { compliant: boolean; reason: string } {
  const reason = reasonFor(ending, outcomes, usage, circumstances);
  return { compliant: COMPLIANT.indexOf(reason) >= 0, reason };
}

function reasonFor(
  ending: Ending,
  outcomes: readonly LimitOutcome[],
  { oomKills, memoryMaxHits }: Usage,
  { tenantMemoryHits = 0, isLeftByChoice = false, starvedSeconds = 0 }: Circumstances,
): string {
  // An allocation reached our own hard limit, not one of another cgroup further up.
  const isKilledAt = (hits: number | null, whose: LimitOutcome["of"]): boolean =>
    (oomKills ?? 0) > 0 &&
    (hits ?? 0) > 0 &&
    outcomes.some((each) => each.limit === "memory.max" && each.of === whose && isInForce(each));
  if (isKilledAt(memoryMaxHits, undefined)) return "killed_at_our_memory_cap";
  if (isKilledAt(tenantMemoryHits, "tenant")) return "killed_at_tenants_memory_cap";
  if (ending.kind === "unobserved" && !isLeftByChoice) return "ended_unobserved";
  if (ending.kind === "never-started") return "never_started";
  let isLate = false;
  const failed: string[] = [];
  for (const outcome of outcomes) {
    const { of, limit } = outcome;
    if (cameTooLate(outcome)) isLate = true;
    else if (!isInForce(outcome)) failed.push(of ? `${of}:${limit}` : limit);
  }
  if (failed.length > 0) return `limit_not_applied(${failed.join()})`;
  if (starvedSeconds > 0) return STARVED_BY_OWN_LIMIT;
  if (ending.kind === "unobserved") return UNOBSERVED_BY_CHOICE;
  if (ending.kind === "detached") return "detached";
  if (ending.kind !== "exited" && ending.kind !== "signaled") return "exit_unknown";
  if (isLate) return ENDED_BEFORE_LIMITS;
  if (ending.kind === "signaled") return "ended_by_signal";
  return ending.code === 0 ? "completed_successfully" : "ended_with_error";
}
