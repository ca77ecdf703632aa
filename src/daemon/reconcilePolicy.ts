import { detach } from "../jobs/attach/detach.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import { changeLimits } from "../jobs/limits/changeLimits.ts";
import type { Job, RunningJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { formatLimit } from "../limits/limits.ts";
import { CGROUP_LIMITS, LIMIT_NAMES } from "../limits/table.ts";
import { cgroupPathOf, type Membership, readMembership } from "../linux/cgroup/hierarchies.ts";
import { originOf } from "../linux/cgroup/jobCgroup.ts";
import { type ProcStat, readStat } from "../linux/proc/stat.ts";
import { visible } from "../linux/proc/table.ts";
import { askWithFacts } from "../policy/collectFacts.ts";
import { type Decision, decide } from "../policy/decide.ts";
import type { ProcessFacts } from "../policy/facts.ts";
import type { FactsOfJob } from "../policy/procFacts.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { type GovernDecision, jobSpecOf } from "./decision.ts";
import type { DaemonEvent } from "./events.ts";

/** When jobs are reconciled with the policy: after it was loaded again, or at the start of a daemon. */
export type Occasion = "reload" | "start";

/** The outcome of reconciling one job with the policy; `undefined`: nothing has changed. */
export type Reconciliation =
  | DaemonEvent<
      "job-changed-by-policy" | "job-released-by-policy" | "job-kept-by-policy" | "job-reconcile-failed"
    >
  | undefined;

/**
 * Decides about a job again, with facts that are read in threads. `undefined` when the process is gone or does not let them
 * be read: such a job must not be released because of a fact that is unknown for a while.
 */
export async function decideAgain(context: DaemonContext, job: RunningJob): Promise<Decision | undefined> {
  const stat = readStatOf(context, job);
  if (stat === undefined) return undefined;
  const { policy } = context.store;
  const ask = (facts: ProcessFacts) => decide(policy, facts);
  const { answer, slow } = await askWithFacts(context, stat, ask, factsOfJob(context, job));
  return slow.isLate ? undefined : answer;
}

/**
 * Applies the policy in force to a job that `watch` started under an earlier one, or releases a job that it
 * no longer asks for. When a daemon starts, only a rule releases jobs: a missing option does not.
 */
export function reconcileJob(
  context: DaemonContext,
  job: RunningJob,
  occasion: Occasion,
  decision: Decision,
): Reconciliation {
  const { host } = context;
  if (readStatOf(context, job) === undefined) return undefined;
  try {
    if (decision.govern) {
      const changed = change(context, job, decision);
      if (changed === undefined) return undefined;
      const isChosenOnly = changed.outcomes === job.outcomes && hasSameSpec(changed, job);
      return { kind: "job-changed-by-policy", job: changed, isChosenOnly };
    }
    if (occasion === "start" && decision.rule === undefined) return { kind: "job-kept-by-policy", job };
    // Recorded first: if the daemon dies in between, the job must not count as detached by an operator.
    const detail = { because: decision.because };
    context.ledger.addEvent(job, { atMs: host.now(), kind: "released_by_policy", detail });
    detach(context, job, jobCgroupOf(context, job));
    return { kind: "job-released-by-policy", job };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: "job-reconcile-failed", job, reason: error.message };
  }
}

function hasSameSpec(a: RunningJob, b: RunningJob): boolean {
  const specs = [a, b].map(({ limits, tenant, labels, intent }) => [limits, tenant, labels, intent]);
  return JSON.stringify(specs[0]) === JSON.stringify(specs[1]);
}

/** Returns the changed job as it is recorded; `undefined` if it has what the decision asks for. */
function change(context: DaemonContext, job: RunningJob, decision: GovernDecision): RunningJob | undefined {
  const spec = jobSpecOf(context.store.policy, decision, job.process.pid);
  const { limits, tenant, labels, intent, decidedBy = null } = spec;
  const ofTenant = job.outcomes.filter(({ of }) => of === "tenant");
  const recordedTotal = new Map(ofTenant.map(({ limit, wanted }) => [limit, wanted]));
  const isSame =
    (tenant?.name ?? null) === job.tenant &&
    LIMIT_NAMES.every((name) => formatLimit(limits, name) === formatLimit(job.limits, name)) &&
    CGROUP_LIMITS.every((name) => formatLimit(tenant?.limits ?? {}, name) === recordedTotal.get(name));
  if (!isSame) {
    const because = decision.rule === undefined ? "the policy" : `the policy's rule ${decision.rule}`;
    return changeLimits(context, job, { limits, tenant, labels, intent, decidedBy }, because);
  }
  const isLabelled = JSON.stringify(labels) === JSON.stringify(job.labels) && intent === job.intent;
  if (isLabelled && decidedBy === job.decidedBy) return undefined;
  const recorded = context.ledger.recordSpec(job, { labels, intent, decidedBy });
  // An earlier release did not record what had chosen the process.
  return isLabelled && job.decidedBy === null ? undefined : recorded;
}

function readStatOf({ host }: DaemonContext, { process }: RunningJob): ProcStat | undefined {
  const stat = readStat(host, process.pid);
  return stat === "gone" || stat.startTicks !== process.startTicks ? undefined : stat;
}

/** Returns the facts of a job's process as a reload of the policy uses them. */
export function factsOfJob(context: Context, job: Job): FactsOfJob {
  return { isGoverned: true, membership: originMembership(context, job) };
}

/** The cgroups that the job's process would be in if it were not governed. In some hierarchies, a job has no cgroup. */
function originMembership({ host, hierarchies }: Context, job: Job): Membership {
  const entries = job.cgroup.flatMap((location): [string, string][] => {
    const hierarchy = hierarchies.find(({ key }) => key === location.hierarchy);
    return hierarchy ? [[hierarchy.key, cgroupPathOf(hierarchy, originOf(job.changes, location))]] : [];
  });
  const { process } = job;
  const current = process === null ? undefined : visible(() => readMembership(host, process.pid));
  return new Map([...(current ?? []), ...entries]);
}
