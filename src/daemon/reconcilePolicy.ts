import { detach } from "../jobs/attach/detach.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import type { Tenant } from "../jobs/job.ts";
import { changeLimits } from "../jobs/limits/changeLimits.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { RELEASED_BY_POLICY } from "../ledger/ledger.ts";
import type { JobRecord } from "../ledger/records.ts";
import { formatLimit, type Limits } from "../limits/limits.ts";
import { CGROUP_LIMITS, LIMIT_NAMES } from "../limits/table.ts";
import { cgroupPathOf } from "../linux/cgroup/hierarchies.ts";
import { readStat } from "../linux/proc/stat.ts";
import { type Decision, decide } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";
import type { FactReader } from "../policy/procFacts.ts";
import { jobSpecOf } from "./judge.ts";

/** What became of a job when it was judged by another policy. */
export type Adjustment = "same" | "changed" | "released" | "kept" | { failed: string };

/**
 * Judges a job that `watch` began by another policy than the one it was begun under, and gives it what that one asks for.
 * One that is no longer asked for is released: at the start of a daemon only when a rule says so, because options
 * that were left out are not meant as an end to what runs; it is kept then.
 */
export function adjustJob(
  context: Context,
  policy: Policy,
  reader: FactReader,
  job: JobRecord,
  occasion: "reload" | "start",
): Adjustment {
  const stat = job.pid === null ? "gone" : readStat(context.host, job.pid);
  if (stat === "gone" || stat.startTicks !== job.startTicks) return "same";
  const facts = reader.of(stat, { isGoverned: true, cgroups: cgroupsWithoutUs(context, job) });
  const decision = decide(policy, facts);
  try {
    if (decision.govern) return change(context, policy, job, decision);
    if (occasion === "start" && decision.rule === undefined) return "kept";
    release(context, job, decision);
    return "released";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { failed: error.message };
  }
}

function change(
  context: Context,
  policy: Policy,
  job: JobRecord,
  decision: Decision & { govern: true },
): Adjustment {
  const { limits, tenant, labels, intent } = jobSpecOf(policy, decision);
  const isSame =
    textOf(limits) === textOf(job.limits) &&
    (tenant?.name ?? null) === job.tenant &&
    totalText(tenant) === totalOnRecord(job);
  if (!isSame) {
    const because = decision.rule === undefined ? "the policy" : `the policy's rule ${decision.rule}`;
    changeLimits(context, job, { limits, tenant, labels, intent }, because);
    return "changed";
  }
  if (JSON.stringify(labels) === JSON.stringify(job.labels) && intent === job.intent) return "same";
  context.ledger.change(job, { labels, intent });
  return "changed";
}

function release(context: Context, job: JobRecord, { because }: Decision & { govern: false }): void {
  // Before it is done, so that a daemon which dies in between leaves no job that only an operator could have released.
  context.ledger.addEvent(job, context.host.now(), RELEASED_BY_POLICY, { because });
  detach(context, job, jobCgroupOf(context, job));
}

/** Where the job's process would be if nobody governed it. */
function cgroupsWithoutUs({ hierarchies }: Context, job: JobRecord): string[] {
  return job.cgroup.flatMap(({ hierarchy: key, origin }) => {
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    return hierarchy ? [cgroupPathOf(hierarchy, origin)] : [];
  });
}

function textOf(limits: Limits): string {
  return LIMIT_NAMES.map((name) => `${name}=${formatLimit(limits, name) ?? ""}`).join(" ");
}

function totalText(tenant: Tenant | null): string {
  return CGROUP_LIMITS.map((name) => `${name}=${formatLimit(tenant?.limits ?? {}, name) ?? ""}`).join(" ");
}

function totalOnRecord({ outcomes }: JobRecord): string {
  const total = outcomes.filter(({ of }) => of === "tenant");
  return CGROUP_LIMITS.map(
    (name) => `${name}=${total.find(({ limit }) => limit === name)?.wanted ?? ""}`,
  ).join(" ");
}
