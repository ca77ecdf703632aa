import { detach } from "../jobs/attach/detach.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import type { Tenant } from "../jobs/job.ts";
import { changeLimits } from "../jobs/limits/changeLimits.ts";
import type { Job, RunningJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { formatLimit, type Limits } from "../limits/limits.ts";
import { CGROUP_LIMITS, LIMIT_NAMES } from "../limits/table.ts";
import { cgroupPathOf } from "../linux/cgroup/hierarchies.ts";
import { originOf } from "../linux/cgroup/jobCgroup.ts";
import { readStat } from "../linux/proc/stat.ts";
import { type Decision, decide } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";
import type { FactReader } from "../policy/procFacts.ts";
import { jobSpecOf } from "./decision.ts";

/** When jobs are reconciled with the policy: after it was loaded again, or at the start of a daemon. */
export type Occasion = "reload" | "start";

/** The outcome of reconciling one job with the policy. `job` is the job as it is recorded after the change. */
export type Reconciliation =
  | { outcome: "changed"; job: RunningJob }
  | { outcome: "unchanged" | "released" | "kept" }
  | { outcome: "failed"; reason: string };

/**
 * Applies the policy in force to a job that `watch` started under an earlier one. A job that the policy no longer asks
 * for is released; at the start of a daemon only if a rule says so, and kept otherwise: leaving out an option is not meant
 * to end what runs.
 */
export function reconcileJob(
  context: Context,
  policy: Policy,
  reader: FactReader,
  job: RunningJob,
  occasion: Occasion,
): Reconciliation {
  const stat = readStat(context.host, job.process.pid);
  if (stat === "gone" || stat.startTicks !== job.process.startTicks) return { outcome: "unchanged" };
  const facts = reader.of(stat, { isGoverned: true, cgroups: originCgroups(context, job) });
  const decision = decide(policy, facts);
  try {
    if (decision.govern) return change(context, policy, job, decision);
    if (occasion === "start" && decision.rule === undefined) return { outcome: "kept" };
    release(context, job, decision);
    return { outcome: "released" };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { outcome: "failed", reason: error.message };
  }
}

function change(
  context: Context,
  policy: Policy,
  job: RunningJob,
  decision: Decision & { govern: true },
): Reconciliation {
  const { limits, tenant, labels, intent } = jobSpecOf(policy, decision);
  const isSame =
    textOf(limits) === textOf(job.limits) &&
    (tenant?.name ?? null) === job.tenant &&
    totalText(tenant) === recordedTotal(job);
  if (!isSame) {
    const because = decision.rule === undefined ? "the policy" : `the policy's rule ${decision.rule}`;
    const changed = changeLimits(context, job, { limits, tenant, labels, intent }, because);
    return { outcome: "changed", job: changed };
  }
  if (JSON.stringify(labels) === JSON.stringify(job.labels) && intent === job.intent)
    return { outcome: "unchanged" };
  return { outcome: "changed", job: context.ledger.recordSpec(job, { labels, intent }) };
}

function release(context: Context, job: RunningJob, { because }: Decision & { govern: false }): void {
  // Recorded first: without this event, a daemon that dies in between leaves a job that counts as detached by an operator.
  const atMs = context.host.now();
  context.ledger.addEvent(job, { atMs, kind: "released_by_policy", detail: { because } });
  detach(context, job, jobCgroupOf(context, job));
}

/** The cgroups that the job's process was in before it was governed. */
function originCgroups({ hierarchies }: Context, job: Job): string[] {
  return job.cgroup.flatMap((location) => {
    const hierarchy = hierarchies.find(({ key }) => key === location.hierarchy);
    return hierarchy ? [cgroupPathOf(hierarchy, originOf(job.changes, location))] : [];
  });
}

function textOf(limits: Limits): string {
  return LIMIT_NAMES.map((name) => `${name}=${formatLimit(limits, name) ?? ""}`).join(" ");
}

function totalText(tenant: Tenant | null): string {
  return CGROUP_LIMITS.map((name) => `${name}=${formatLimit(tenant?.limits ?? {}, name) ?? ""}`).join(" ");
}

function recordedTotal({ outcomes }: Job): string {
  const total = outcomes.filter(({ of }) => of === "tenant");
  return CGROUP_LIMITS.map(
    (name) => `${name}=${total.find(({ limit }) => limit === name)?.wanted ?? ""}`,
  ).join(" ");
}
