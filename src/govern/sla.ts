import type { Usage } from "../kernel/cgroup/controller.ts";
import type { LimitOutcome } from "../kernel/limits.ts";
import type { ResultRecord } from "../ledger/records.ts";

export interface Verdict {
  compliant: boolean;
  /** One word for a log line; details in parentheses where there are any. */
  reason: string;
}

/**
 * Judges the platform, not the job: a job that fails by its own code was governed well.
 * Part of the job's immutable result, so that a later change of these rules changes no past verdict.
 */
export function judge(
  ending: Pick<ResultRecord, "ending" | "exitCode" | "signal">,
  outcomes: LimitOutcome[],
  usage: Usage,
): Verdict {
  const failed = outcomes.filter(({ outcome }) => outcome === "refused" || outcome === "unsupported");
  if (wasKilledAtOurCap(outcomes, usage)) return { compliant: false, reason: "killed_at_our_memory_cap" };
  if (ending.ending === "unobserved") return { compliant: false, reason: "ended_unobserved" };
  if (ending.ending === "never_started") return { compliant: false, reason: "never_started" };
  if (failed.length > 0) {
    return { compliant: false, reason: `limit_not_applied(${failed.map(({ limit }) => limit).join()})` };
  }
  if (ending.ending === "detached") return { compliant: true, reason: "detached" };
  if (ending.signal !== null) return { compliant: true, reason: "ended_by_signal" };
  if (ending.exitCode === null) return { compliant: false, reason: "exit_unknown" };
  return { compliant: true, reason: ending.exitCode === 0 ? "completed_successfully" : "ended_with_error" };
}

/** The kernel's OOM killer ended something inside the job, and it was our hard cap that the allocation ran into. */
function wasKilledAtOurCap(outcomes: LimitOutcome[], usage: Usage): boolean {
  const cap = outcomes.find(({ limit }) => limit === "memory.max");
  const isOurs = cap?.outcome === "applied" || cap?.outcome === "partial";
  return isOurs && (usage.oomKills ?? 0) > 0 && (usage.memoryMaxHits ?? 0) > 0;
}
