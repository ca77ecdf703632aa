import { checkScreened, type Eligible, type Ineligible, screenProcess } from "../jobs/attach/eligibility.ts";
import type { Context } from "../jobs/context.ts";
import type { JobSpec } from "../jobs/job.ts";
import type { Intent } from "../limits/intents.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { SlowFacts } from "../linux/proc/slowFacts/slowFacts.ts";
import type { ProcStat } from "../linux/proc/stat.ts";
import type { Decision } from "../policy/decide.ts";
import { type Policy, totalOf } from "../policy/policy.ts";

export type GovernDecision = Decision & { govern: true };

/**
 * Returns whether a process is governed after others that are found at the same time: a live stream in a cgroup of its own,
 * beside batch that is not governed yet, would have less CPU time than before.
 */
export function isGovernedLast({ hasIntents }: Policy, decision: Decision): boolean {
  return hasIntents === true && decision.govern && decision.intent === ("live" satisfies Intent);
}

/** The whole decision of `watch`, and the process as it was read. */
type ProcessDecision =
  | { govern: true; process: Eligible; decision: GovernDecision }
  | { govern: false; reason: string; ineligible?: Ineligible | undefined };

/** Decides as the daemon does and changes nothing: for `policy explain` and for dry runs. */
export function decideProcess(
  context: Context,
  pid: number,
  decide: (stat: ProcStat) => Decision,
  slow?: SlowFacts,
): ProcessDecision {
  const stat = screenProcess(context, pid);
  if ("eligible" in stat) return { govern: false, reason: stat.reason, ineligible: stat };
  const process = checkScreened(context, stat, "discovered", slow);
  // Whatever the policy says about it, a job is not governed again.
  if (!process.eligible && process.code === "governed")
    return { govern: false, reason: process.reason, ineligible: process };
  const decision = decide(stat);
  if (!decision.govern) return { govern: false, reason: decision.because };
  if (!process.eligible) return { govern: false, reason: process.reason, ineligible: process };
  return { govern: true, process, decision };
}

/** Returns what a decision asks for, with the total of its tenant. Its placement overrides the given one. */
export function jobSpecOf(
  policy: Policy,
  { target, rule, limits, tenant, labels, intent, placement }: GovernDecision,
  pid: number,
  otherwise: Placement = "auto",
): JobSpec {
  return {
    jobId: `auto-${target.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 80)}-${pid}`,
    limits,
    intent: intent ?? null,
    slaEligible: true,
    tenant: tenant === undefined ? null : { name: tenant, limits: totalOf(policy, tenant) ?? {} },
    labels: { ...labels },
    decidedBy: rule === undefined ? "target_commands" : `rule ${rule}`,
    placement: placement ?? otherwise,
  };
}
