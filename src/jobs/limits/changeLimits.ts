import type { SpecChange } from "../../ledger/ledger.ts";
import { formatLimit } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { CGROUP_LIMITS, type CgroupLimitName } from "../../limits/table.ts";
import { tenantCgroupOf } from "../../linux/cgroup/jobCgroup.ts";
import { liftCgroupLimits } from "../../linux/cgroup/jobLimits.ts";
import { restoreAttributes } from "../../linux/proc/taskAttributes.ts";
import { attributesOf } from "../changes.ts";
import type { Context } from "../context.ts";
import { undoInGateLock } from "../gateLock.ts";
import { limitsInForce, type Tenant } from "../job.ts";
import type { RunningJob } from "../model/job.ts";
import { leaveCpuCgroup } from "../placement/leaveCpuCgroup.ts";
import { migrateCgroup, removeFormerCgroup } from "../placement/migrateCgroup.ts";
import { governTree } from "./applyToTree.ts";
import { liftGovernedQuota, liftQuotasOfTenant } from "./governedQuota.ts";

/**
 * Changes the limits and labels of a running job; an absent field stays as it is. A limit that is no longer asked for
 * returns to the value from before ffrtmp, and never beyond: to that of the cgroups above and of the processes.
 */
export function changeLimits(
  context: Context,
  seen: RunningJob,
  change: LimitsChange,
  because: string,
): RunningJob {
  // The governor changes the same files and records twice a second.
  return undoInGateLock(context, seen, () => changeInLock(context, seen, change, because));
}

type LimitsChange = Omit<SpecChange, "tenant"> & { tenant?: Tenant | null };

function changeInLock(
  context: Context,
  seen: RunningJob,
  { tenant, ...change }: LimitsChange,
  because: string,
): RunningJob {
  const { host, ledger } = context;
  if (tenant?.limits.cpuMax !== undefined) liftQuotasOfTenant(context, tenant.name);
  const job = liftGovernedQuota(context, seen);
  const before = job.outcomes;
  const spec = tenant === undefined ? change : { ...change, tenant: tenant?.name ?? null };
  // Recorded first: if this ffrtmp dies now, the next one applies what is recorded.
  const wanted = ledger.recordSpec(job, spec);
  // The total of a tenant that stays is the policy's, and is not changed here.
  const recorded: Tenant | null =
    wanted.tenant === null || !isInTenantGroup(wanted) ? null : { name: wanted.tenant, limits: {} };
  const { job: migrated, cgroup } = migrateCgroup(context, wanted, tenant === undefined ? recorded : tenant);
  const restored = restoreChanged(context, migrated);
  // Rates are kept per device: those of a device that is no longer named would stay.
  liftCgroupLimits(cgroup, ["io.max"]);
  const options = { total: tenant?.limits, isFirst: false };
  const governed = governTree(context, restored, cgroup, job.process, options);
  const totals = tenant === undefined ? before.filter(({ of }) => of === "tenant") : [];
  // A quota of the governor that could not be removed: the next `watch` does that.
  const left = before.filter(({ of }) => of === "governor");
  const outcomes = [...governed.outcomes, ...totals, ...left];
  const moved = removeFormerCgroup(context, governed.job, cgroup);
  const failures = [
    ...liftCgroupLimits(cgroup, staleLimits(before, outcomes, undefined)),
    ...liftCgroupLimits(tenantCgroupOf(cgroup), staleLimits(before, outcomes, "tenant")),
  ];
  const detail = {
    because,
    before: before.map(shorten),
    now: outcomes.map(shorten),
    ...(failures.length === 0 ? {} : { failures }),
  };
  const changed = ledger.recordOutcomes(leaveCpuCgroup(context, moved, cgroup), outcomes);
  ledger.addEvent(job, { atMs: host.now(), kind: "limits_changed", detail });
  for (const failure of failures)
    context.warn(`job ${job.jobId}: an old limit could not be removed and is still in force: ${failure}`);
  return changed;
}

/** Returns whether a job is in the cgroup of its tenant. A job of `run` only has the name of its tenant recorded. */
function isInTenantGroup({ changes }: RunningJob): boolean {
  return changes.some((change) => change.kind === "cgroup-created" && change.role === "tenant");
}

/** Returns the limits that must be removed: no longer asked for, or not written because a limit above is tighter. */
function staleLimits(
  before: readonly LimitOutcome[],
  now: readonly LimitOutcome[],
  of: LimitOutcome["of"],
): CgroupLimitName[] {
  return CGROUP_LIMITS.filter((limit) => {
    const isOfLimit = (outcome: LimitOutcome): boolean => outcome.limit === limit && outcome.of === of;
    const outcome = now.find(isOfLimit);
    return before.some(isOfLimit) && (outcome === undefined || outcome.heldBy !== undefined);
  });
}

/** Restores the attributes that will change, so that the journal keeps the values from before ffrtmp. */
function restoreChanged({ host, ledger }: Context, job: RunningJob): RunningJob {
  const limits = limitsInForce(job);
  const changed = attributesOf(job).filter(({ attribute }) => {
    const outcome = job.outcomes.find(({ limit }) => limit === attribute);
    return formatLimit(limits, attribute) !== outcome?.wanted;
  });
  if (changed.length === 0) return job;
  restoreAttributes(host, changed);
  const changes = job.changes.filter((change) => !changed.some((each) => each === change));
  return ledger.recordJournal(job, { changes });
}

function shorten({ limit, of, outcome, wanted, actual }: LimitOutcome): string {
  return [of, limit, outcome, actual ?? wanted].filter(Boolean).join(" ");
}
