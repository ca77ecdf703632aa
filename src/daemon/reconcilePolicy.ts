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
import { readStat } from "../linux/proc/stat.ts";
import { type Decision, decide } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";
import type { FactReader } from "../policy/procFacts.ts";
import { jobSpecOf } from "./decision.ts";

/** The result of applying another policy to a job. `job` is the job as it is recorded after the change. */
export type Adjustment =
  | { did: "changed"; job: RunningJob }
  | { did: "same" | "released" | "kept" }
  | { did: "failed"; reason: string };

/**
 * Judges a job that `watch` began by another policy than the one it was begun under, and gives it what that one asks for.
 * One that is no longer asked for is released: at the start of a daemon only when a rule says so, because options
 * that were left out are not meant as an end to what runs; it is kept then.
 */
export function adjustJob(
  context: Context,
  policy: Policy,
  reader: FactReader,
  job: RunningJob,
  occasion: "reload" | "start",
): Adjustment {
  const stat = readStat(context.host, job.process.pid);
  if (stat === "gone" || stat.startTicks !== job.process.startTicks) return { did: "same" };
  const facts = reader.of(stat, { isGoverned: true, cgroups: cgroupsWithoutUs(context, job) });
  const decision = decide(policy, facts);
  try {
    if (decision.govern) return change(context, policy, job, decision);
    if (occasion === "start" && decision.rule === undefined) return { did: "kept" };
    release(context, job, decision);
    return { did: "released" };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { did: "failed", reason: error.message };
  }
}

function change(
  context: Context,
  policy: Policy,
  job: RunningJob,
  decision: Decision & { govern: true },
): Adjustment {
  const { limits, tenant, labels, intent } = jobSpecOf(policy, decision);
  const isSame =
    textOf(limits) === textOf(job.limits) &&
    (tenant?.name ?? null) === job.tenant &&
    totalText(tenant) === totalOnRecord(job);
  if (!isSame) {
    const because = decision.rule === undefined ? "the policy" : `the policy's rule ${decision.rule}`;
    const changed = changeLimits(context, job, { limits, tenant, labels, intent }, because);
    return { did: "changed", job: changed };
  }
  if (JSON.stringify(labels) === JSON.stringify(job.labels) && intent === job.intent) return { did: "same" };
  return { did: "changed", job: context.ledger.recordSpec(job, { labels, intent }) };
}

function release(context: Context, job: RunningJob, { because }: Decision & { govern: false }): void {
  // Recorded first: a daemon that dies in between must not leave a job that looks as if an operator had released it.
  const atMs = context.host.now();
  context.ledger.addEvent(job, { atMs, kind: "released_by_policy", detail: { because } });
  detach(context, job, jobCgroupOf(context, job));
}

/** Where the job's process would be if nobody governed it. */
function cgroupsWithoutUs({ hierarchies }: Context, job: Job): string[] {
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

function totalOnRecord({ outcomes }: Job): string {
  const total = outcomes.filter(({ of }) => of === "tenant");
  return CGROUP_LIMITS.map(
    (name) => `${name}=${total.find(({ limit }) => limit === name)?.wanted ?? ""}`,
  ).join(" ");
}
