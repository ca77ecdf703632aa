import { detach } from "../jobs/attach/detach.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import type { Tenant } from "../jobs/job.ts";
import { changeLimits } from "../jobs/limits/changeLimits.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { RELEASED_BY_POLICY } from "../ledger/ledger.ts";
import type { JobRecord } from "../ledger/records.ts";
import { CGROUP_LIMITS, LIMIT_NAMES, type Limits, wantedText } from "../limits/limits.ts";
import { cgroupPathOf } from "../linux/cgroup/hierarchies.ts";
import { readStat } from "../linux/proc/stat.ts";
import { type Decision, decide } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";
import type { FactReader } from "../policy/procFacts.ts";
import { jobSpecOf } from "./decision.ts";

/** When jobs are reconciled with the policy: after it was loaded again, or at the start of a daemon. */
export type Occasion = "reload" | "start";

/** The outcome of reconciling one job with the policy. */
export type Reconciliation =
  | { outcome: "unchanged" | "changed" | "released" | "kept" }
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
  job: JobRecord,
  occasion: Occasion,
): Reconciliation {
  const stat = job.pid === null ? "gone" : readStat(context.host, job.pid);
  if (stat === "gone" || stat.startTicks !== job.startTicks) return { outcome: "unchanged" };
  const facts = reader.of(stat, { isGoverned: true, cgroups: originCgroups(context, job) });
  const decision = decide(policy, facts);
  try {
    if (decision.govern) return { outcome: change(context, policy, job, decision) };
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
  job: JobRecord,
  decision: Decision & { govern: true },
): "changed" | "unchanged" {
  const { limits, tenant, labels, intent } = jobSpecOf(policy, decision);
  const isSame =
    textOf(limits) === textOf(job.limits) &&
    (tenant?.name ?? null) === job.tenant &&
    totalText(tenant) === recordedTotal(job);
  if (!isSame) {
    const because = decision.rule === undefined ? "the policy" : `the policy's rule ${decision.rule}`;
    changeLimits(context, job, { limits, tenant, labels, intent }, because);
    return "changed";
  }
  if (JSON.stringify(labels) === JSON.stringify(job.labels) && intent === job.intent) return "unchanged";
  context.ledger.change(job, { labels, intent });
  return "changed";
}

function release(context: Context, job: JobRecord, { because }: Decision & { govern: false }): void {
  // Recorded first: without this event, a daemon that dies in between leaves a job that counts as detached by an operator.
  context.ledger.addEvent(job, context.host.now(), RELEASED_BY_POLICY, { because });
  detach(context, job, jobCgroupOf(context, job));
}

/** The cgroups that the job's process was in before it was governed. */
function originCgroups({ hierarchies }: Context, job: JobRecord): string[] {
  return job.cgroup.flatMap(({ hierarchy: key, origin }) => {
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    return hierarchy ? [cgroupPathOf(hierarchy, origin)] : [];
  });
}

function textOf(limits: Limits): string {
  return LIMIT_NAMES.map((name) => `${name}=${wantedText(limits, name) ?? ""}`).join(" ");
}

function totalText(tenant: Tenant | null): string {
  return CGROUP_LIMITS.map((name) => `${name}=${wantedText(tenant?.limits ?? {}, name) ?? ""}`).join(" ");
}

function recordedTotal({ outcomes }: JobRecord): string {
  const total = outcomes.filter(({ of }) => of === "tenant");
  return CGROUP_LIMITS.map(
    (name) => `${name}=${total.find(({ limit }) => limit === name)?.wanted ?? ""}`,
  ).join(" ");
}
