import type { LimitOutcome } from "../../limits/outcome.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { changesOf, expectedOutcomes } from "../../linux/cgroup/jobLimits.ts";
import type { Change } from "../../linux/change.ts";
import { listTree } from "../../linux/proc/table.ts";
import { planAttributes } from "../../linux/proc/taskAttributes.ts";
import type { ScopePlan } from "../../linux/systemd/scope.ts";
import { scopeChanges } from "../changes.ts";
import type { Context } from "../context.ts";
import type { JobSpec } from "../job.ts";
import { planWithWeight, readWorkload } from "../limits/planLimits.ts";
import { planCgroup, respectDisabled } from "../placement/jobCgroup.ts";
import { planPlace } from "../placement/placement.ts";
import type { Eligible } from "./eligibility.ts";

/** Plans the cgroup that `attach` creates. Reads only. Throws a Refusal for a placement that was asked for and is not possible. */
export function planAttach(
  context: Context,
  { stat, membership }: Pick<Eligible, "stat" | "membership">,
  spec: JobSpec,
): { scope: ScopePlan | undefined; cgroup: JobCgroup } {
  const { place, scope } = planPlace(context, stat.pid, membership, spec);
  const { jobId, limits, tenant } = spec;
  const cgroup = planCgroup(context, jobId, membership, { limits, tenant, place, nice: stat.nice });
  respectDisabled(context, cgroup);
  return { scope, cgroup };
}

/** The result of `attach`, if the kernel accepts every write. */
export interface DryRun {
  /** The directories that the job's processes would be in. */
  cgroups: string[];
  outcomes: LimitOutcome[];
  changes: Change[];
}

/** Plans as `attach` does, with the same code, and executes nothing. */
export function planDryRun(context: Context, eligible: Eligible, spec: JobSpec): DryRun {
  const { scope, cgroup } = planAttach(context, eligible, spec);
  const limits = planWithWeight(
    cgroup,
    spec.limits,
    readWorkload(context.host, eligible.stat.pid),
    spec.tenant?.limits,
  );
  const { host } = context;
  const attributes = planAttributes(host, listTree(host, eligible.stat.pid), spec.limits);
  const moves = cgroup.changes.filter(({ kind }) => kind === "processes-moved");
  return {
    cgroups: cgroup.directories.map(({ path }) => path),
    outcomes: [...expectedOutcomes(cgroup, limits), ...attributes.refusals],
    changes: [
      ...scopeChanges(scope),
      ...cgroup.changes.filter((change) => !moves.includes(change)),
      ...changesOf(cgroup, limits),
      ...moves,
      ...attributes.changes,
    ],
  };
}
