import { type LimitOutcome, onlyPartly } from "../../limits/outcome.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { Context } from "../context.ts";
import type { Job } from "../model/job.ts";

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
  return outcomes.map((outcome) => (outcome.of === "tenant" ? onlyPartly(outcome, because) : outcome));
}

/** Lists the other cgroups of the tenant, in the first hierarchy where both have one. */
function otherPlaces({ ledger }: Context, { key, tenant }: Job, { directories }: JobCgroup): string[] {
  const others = ledger.openJobs().filter((other) => other.tenant === tenant && other.key !== key);
  const places = others.flatMap(({ changes }) => {
    for (const { hierarchy, tenant: ours } of directories) {
      for (const change of changes) {
        if (change.kind !== "cgroup-created" || change.role !== "tenant") continue;
        if (change.hierarchy === hierarchy.key) return change.path === ours ? [] : [change.path];
      }
    }
    return [];
  });
  return [...new Set(places)];
}
