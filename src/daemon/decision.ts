import { checkScreened, type Eligible, screenProcess } from "../jobs/attach/eligibility.ts";
import type { Context } from "../jobs/context.ts";
import type { JobSpec } from "../jobs/job.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { ProcStat } from "../linux/proc/stat.ts";
import type { Decision } from "../policy/decide.ts";
import { type Policy, totalOf } from "../policy/policy.ts";

type GovernDecision = Decision & { govern: true };

/** Asks the policy about a process whose stat was just read. */
type Decide = (stat: ProcStat) => Decision;

interface LeftAlone {
  govern: false;
  reason: string;
  /** The process is only too young: when to ask again. */
  retry?: { inMs: number; startTicks: number };
}

/** The answer of the policy. A process that it wants governed may still be ineligible. */
export type PolicyChoice = { govern: true; stat: ProcStat; decision: GovernDecision } | LeftAlone;

/** The whole decision of `watch`, and the process as it was read. */
export type ProcessDecision = { govern: true; process: Eligible; decision: GovernDecision } | LeftAlone;

/**
 * Screens a process and asks the policy about it: all that the daemon does for most programs that start.
 * `attachDiscovered` checks the rest under the process's lock.
 */
export function chooseByPolicy(context: Context, pid: number, decide: Decide): PolicyChoice {
  const stat = screenProcess(context, pid);
  if ("eligible" in stat) return { govern: false, reason: stat.reason };
  const decision = decide(stat);
  if (decision.govern) return { govern: true, stat, decision };
  const { because: reason, retryInMs: inMs } = decision;
  if (inMs === undefined) return { govern: false, reason };
  return { govern: false, reason, retry: { inMs, startTicks: stat.startTicks } };
}

/** Decides as the daemon does and changes nothing: for `policy explain` and for dry runs. */
export function decideProcess(context: Context, pid: number, decide: Decide): ProcessDecision {
  const choice = chooseByPolicy(context, pid, decide);
  if (!choice.govern) return choice;
  const process = checkScreened(context, choice.stat, "discovered");
  if (!process.eligible) return { govern: false, reason: process.reason };
  return { govern: true, process, decision: choice.decision };
}

/** Returns what a decision asks for, with the total of its tenant. Its placement overrides the given one. */
export function jobSpecOf(
  policy: Policy,
  { target, limits, tenant, labels, intent, placement }: GovernDecision,
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
    placement: placement ?? otherwise,
  };
}
