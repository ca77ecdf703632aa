import type { LimitOutcome } from "../../limits/outcome.ts";
import type { Usage } from "../../limits/usage.ts";
import type { Ending } from "../model/ending.ts";

export interface Verdict {
  compliant: boolean;
  /** One word for a log line; details in parentheses where there are any. */
  reason: string;
}

/**
 * Judges the platform, not the job: a job that fails by its own code was governed well.
 * Part of the job's immutable result, so that a later change of these rules changes no past verdict.
 */
export function evaluateSla(
  ending: Ending,
  outcomes: readonly LimitOutcome[],
  usage: Usage,
  /** How often the jobs of its tenant ran into the hard memory limit of their total. */
  tenantMemoryHits = 0,
): Verdict {
  const failed = outcomes.filter(({ outcome }) => outcome === "refused" || outcome === "unsupported");
  const oomKills = usage.oomKills ?? 0;
  if (oomKills > 0 && hits(outcomes, undefined, usage.memoryMaxHits ?? 0)) {
    return { compliant: false, reason: "killed_at_our_memory_cap" };
  }
  if (oomKills > 0 && hits(outcomes, "tenant", tenantMemoryHits)) {
    return { compliant: false, reason: "killed_at_tenants_memory_cap" };
  }
  if (ending.kind === "unobserved") return { compliant: false, reason: "ended_unobserved" };
  if (ending.kind === "never-started") return { compliant: false, reason: "never_started" };
  if (failed.length > 0) {
    return {
      compliant: false,
      reason: `limit_not_applied(${failed.map(({ of, limit }) => (of ? `${of}:${limit}` : limit)).join()})`,
    };
  }
  switch (ending.kind) {
    case "detached":
      return { compliant: true, reason: "detached" };
    case "signaled":
      return { compliant: true, reason: "ended_by_signal" };
    case "exit-unknown":
      return { compliant: false, reason: "exit_unknown" };
    case "exited":
      return { compliant: true, reason: ending.code === 0 ? "completed_successfully" : "ended_with_error" };
  }
}

/** It was our hard cap that an allocation ran into, and not one of somebody else's further up. */
function hits(outcomes: readonly LimitOutcome[], of: LimitOutcome["of"], memoryHits: number): boolean {
  const cap = outcomes.find((outcome) => outcome.limit === "memory.max" && outcome.of === of);
  const isOurs = cap?.outcome === "applied" || cap?.outcome === "partial";
  return isOurs && memoryHits > 0;
}
