import type { LimitOutcome } from "../../limits/outcome.ts";
import type { TenantGroup } from "../../linux/cgroup/backend.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { Context } from "../context.ts";
import { type Tenant, tenantGroupName } from "../job.ts";
import type { Job } from "../model/job.ts";

/** Where a tenant's jobs are to lie, as planning takes it. */
export function groupOf(tag: string, tenant: Tenant | null): TenantGroup | undefined {
  return tenant === null ? undefined : { name: tenantGroupName(tag, tenant.name), limits: tenant.limits };
}

/**
 * Adds to the outcomes of a tenant's total where it does not reach. The tenant's cgroup is a child of the cgroup that the
 * job's processes come from, because there the limits from before still apply. A tenant with processes in several cgroups
 * has a cgroup in each, and the total applies to each of them separately.
 */
export function qualifyTotals(
  context: Context,
  job: Job,
  cgroup: JobCgroup,
  outcomes: readonly LimitOutcome[],
): readonly LimitOutcome[] {
  if (!outcomes.some(({ of }) => of === "tenant")) return outcomes;
  const elsewhere = otherPlaces(context, job, cgroup);
  if (elsewhere.length === 0) return outcomes;
  const because = `for its jobs in one place only: others of ${job.tenant} are in ${elsewhere.join(", ")}`;
  return outcomes.map((outcome) => {
    if (outcome.of !== "tenant") return outcome;
    if (outcome.outcome !== "applied" && outcome.outcome !== "partial") return outcome;
    return { ...outcome, outcome: "partial", because: [outcome.because, because].filter(Boolean).join("; ") };
  });
}

/** The other cgroups of the tenant, in the first hierarchy where both have one. */
function otherPlaces({ ledger }: Context, job: Job, cgroup: JobCgroup): string[] {
  const places = ledger
    .openJobs()
    .filter(({ key, tenant }) => tenant === job.tenant && key !== job.key)
    .flatMap((other) => {
      for (const { hierarchy, tenant } of cgroup.directories) {
        const theirs = tenantPathOf(other, hierarchy.key);
        if (theirs !== undefined) return theirs === tenant ? [] : [theirs];
      }
      return [];
    });
  return [...new Set(places)];
}

function tenantPathOf({ changes }: Job, hierarchy: string): string | undefined {
  const created = changes.find(
    (change) =>
      change.kind === "cgroup-created" && change.role === "tenant" && change.hierarchy === hierarchy,
  );
  return created?.kind === "cgroup-created" ? created.path : undefined;
}
