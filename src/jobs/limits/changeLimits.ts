import type { JobRecord } from "../../ledger/records.ts";
import { formatLimit, type Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { CGROUP_LIMITS, type CgroupLimitName } from "../../limits/table.ts";
import { liftCgroupLimits, tenantCgroupOf } from "../../linux/cgroup/jobCgroup.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { limitsInForce, type Tenant } from "../job.ts";
import { identityOf } from "../liveness.ts";
import { migrateCgroup, removeFormerCgroup } from "../placement/migrateCgroup.ts";
import { governTree } from "./applyToTree.ts";
import { restoreAttributes } from "./taskAttributes.ts";

/** What a living job is to have from now on; what is left out stays. */
export interface LimitChange {
  limits?: Limits;
  byHand?: Limits | null;
  tenant?: Tenant | null;
  intent?: string | null;
  labels?: Record<string, string>;
}

/**
 * Brings a living job from the limits that it has to others. What is no longer asked for goes back to what held before
 * us, and never further: the cgroups above and the values that its processes had. Throws a Refusal, having written
 * nothing, for a job that has no process.
 */
export function changeLimits(
  context: Context,
  job: JobRecord,
  { tenant, ...change }: LimitChange,
  because: string,
): void {
  const { host, ledger } = context;
  const root = identityOf(job);
  if (!root) throw new Refusal(`job ${job.jobId} is being started just now`, "try again in a moment");
  const before = job.outcomes;
  // On record first: a governor that dies now leaves what its successor carries out.
  ledger.change(job, tenant === undefined ? change : { ...change, tenant: tenant?.name ?? null });
  const cgroup = migrateCgroup(context, job, tenant === undefined ? tenantOnRecord(job) : tenant);
  restoreChanged(context, job);
  // Rates are kept per device: those of a device that is no longer named would stay.
  liftCgroupLimits(cgroup, ["io.max"]);
  governTree(context, job, cgroup, root, { total: tenant?.limits, isFirst: false });
  if (tenant === undefined) job.outcomes.push(...before.filter(({ of }) => of === "tenant"));
  removeFormerCgroup(context, job, cgroup);
  const failures = [
    ...liftCgroupLimits(cgroup, staleLimits(before, job.outcomes, undefined)),
    ...liftCgroupLimits(tenantCgroupOf(cgroup), staleLimits(before, job.outcomes, "tenant")),
  ];
  ledger.change(job, { outcomes: job.outcomes });
  ledger.addEvent(job, host.now(), "limits_changed", {
    because,
    before: before.map(shorten),
    now: job.outcomes.map(shorten),
    ...(failures.length === 0 ? {} : { failures }),
  });
  for (const failure of failures) context.warn(`job ${job.jobId}: a limit stays that should go: ${failure}`);
}

/** With no total: that is the policy's, and stays as it is. */
function tenantOnRecord({ tenant }: JobRecord): Tenant | null {
  return tenant === null ? null : { name: tenant, limits: {} };
}

/** What of ours stands in a file and must go: no longer asked for, or not written because something above is tighter. */
function staleLimits(before: LimitOutcome[], now: LimitOutcome[], of: LimitOutcome["of"]): CgroupLimitName[] {
  const isOurs = (outcome: LimitOutcome) => outcome.of === of;
  const wereWritten = before.filter(isOurs).map(({ limit }) => limit);
  return CGROUP_LIMITS.filter((limit) => {
    if (!wereWritten.includes(limit)) return false;
    const outcome = now.filter(isOurs).find((candidate) => candidate.limit === limit);
    return outcome === undefined || outcome.heldBy !== undefined;
  });
}

/** Puts back the values of threads and processes that are to change, so that what was before us stays known. */
function restoreChanged({ host, ledger }: Context, job: JobRecord): void {
  const limits = limitsInForce(job);
  const isChanged = (value: JobRecord["touched"][number]["value"]) =>
    formatLimit(limits, value) !== job.outcomes.find(({ limit }) => limit === value)?.wanted;
  const changed = job.touched.filter(({ value }) => isChanged(value));
  if (changed.length === 0) return;
  restoreAttributes(host, changed);
  ledger.change(job, { touched: job.touched.filter((touched) => !changed.includes(touched)) });
}

function shorten({ limit, of, outcome, wanted, actual }: LimitOutcome): string {
  return [of, limit, outcome, actual ?? wanted].filter(Boolean).join(" ");
}
