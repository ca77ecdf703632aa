import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { applyTenantLimits, type JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { TenantGroup } from "../../linux/cgroup/planJobCgroup.ts";
import type { Context } from "../context.ts";
import { type Tenant, tenantGroupName } from "../job.ts";
import type { Job } from "../model/job.ts";

/** Where a tenant's jobs are to lie, as planning takes it. */
export function groupOf(tag: string, tenant: Tenant | null): TenantGroup | undefined {
  return tenant === null ? undefined : { name: tenantGroupName(tag, tenant.name), limits: tenant.limits };
}

/**
 * Applies a tenant's total to the group that a job lies in. The group is a child of the cgroup that the job's
 * processes come from, because there all that limited them before holds on; so a tenant with processes in several
 * cgroups has a group in each, and the total holds for each alone. The outcome says so.
 */
export function applyTotal(context: Context, job: Job, cgroup: JobCgroup, limits: Limits): LimitOutcome[] {
  const outcomes = applyTenantLimits(cgroup, limits);
  if (outcomes.length === 0) return [];
  const elsewhere = otherPlaces(context, job, cgroup);
  if (elsewhere.length === 0) return outcomes;
  const because = `for its jobs in one place only: others of ${job.tenant} are in ${elsewhere.join(", ")}`;
  return outcomes.map((outcome) => {
    if (outcome.outcome !== "applied" && outcome.outcome !== "partial") return outcome;
    return { ...outcome, outcome: "partial", because: [outcome.because, because].filter(Boolean).join("; ") };
  });
}

/** The other groups of the tenant, in the first hierarchy where both have one. */
function otherPlaces({ ledger }: Context, job: Job, cgroup: JobCgroup): string[] {
  const places = ledger
    .openJobs()
    .filter(({ key, tenant }) => tenant === job.tenant && key !== job.key)
    .flatMap((other) => {
      for (const { hierarchy, tenant } of cgroup.directories) {
        const stored = other.cgroup.find((candidate) => candidate.hierarchy === hierarchy.key);
        if (stored?.tenant !== undefined) return stored.tenant === tenant ? [] : [stored.tenant];
      }
      return [];
    });
  return [...new Set(places)];
}
