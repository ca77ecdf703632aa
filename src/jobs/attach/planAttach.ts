import type { LimitOutcome } from "../../limits/outcome.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { changesOf, expectedOutcomes, type PlannedLimit } from "../../linux/cgroup/jobLimits.ts";
import { planJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import { type Change, isCgroupChange } from "../../linux/change.ts";
import { listTree } from "../../linux/proc/table.ts";
import { type AttributePlan, planAttributes } from "../../linux/proc/taskAttributes.ts";
import type { ScopePlan } from "../../linux/systemd/scope.ts";
import { scopeChanges } from "../changes.ts";
import type { Context } from "../context.ts";
import { groupName, type JobSpec } from "../job.ts";
import { planWithNice } from "../limits/planLimits.ts";
import { respectDisabled } from "../placement/disabledControllers.ts";
import { planPlace } from "../placement/placement.ts";
import { groupOf } from "../placement/tenants.ts";
import type { Eligible } from "./eligibility.ts";

/** Everything that governing a running process will change. */
export interface AttachPlan {
  /** The scope unit that systemd is to start for the job. */
  scope: ScopePlan | undefined;
  cgroup: JobCgroup;
  limits: PlannedLimit[];
}

/** Plans what `attach` executes. Reads only. Throws a Refusal for a placement that was asked for and is not possible. */
export function planAttach(
  context: Context,
  { stat, membership }: Pick<Eligible, "stat" | "membership">,
  spec: JobSpec,
): AttachPlan {
  const { host, hierarchies, state, ledger } = context;
  const { place, scope } = planPlace(context, stat.pid, membership, spec);
  const cgroup = planJobCgroup(host.cgroupFs, hierarchies, membership, {
    name: groupName(state.tag, spec.jobId),
    limits: spec.limits,
    tenant: groupOf(state.tag, spec.tenant),
    place,
    shared: () => ledger.sharedChanges(),
  });
  respectDisabled(context, cgroup);
  const nice = spec.limits.nice ?? stat.nice;
  return { scope, cgroup, limits: planWithNice(cgroup, spec.limits, nice, spec.tenant?.limits) };
}

/** The result of `attach` as far as it is known without executing it. */
export interface DryRun {
  /** The directories that the job's processes would be in. */
  cgroups: string[];
  /** The outcome of each limit, if the kernel accepts every write. */
  outcomes: LimitOutcome[];
  /** The changes that `attach` would make, in their order. */
  changes: Change[];
}

/** Plans as `attach` does, with the same code, and executes nothing. */
export function planDryRun(context: Context, eligible: Eligible, spec: JobSpec): DryRun {
  const { scope, cgroup, limits } = planAttach(context, eligible, spec);
  const { host } = context;
  const attributes = planAttributes(host, listTree(host, eligible.stat.pid), spec.limits);
  return {
    cgroups: cgroup.directories.map(({ path }) => path),
    outcomes: [...expectedOutcomes(cgroup, limits), ...attributes.refusals],
    changes: listChanges(cgroup, scope, limits, attributes),
  };
}

function listChanges(
  cgroup: JobCgroup,
  scope: ScopePlan | undefined,
  limits: readonly PlannedLimit[],
  attributes: AttributePlan,
): Change[] {
  const isMove = (change: Change): boolean => change.kind === "processes-moved";
  const changes = cgroup.changes.filter(isCgroupChange);
  return [
    ...scopeChanges(scope),
    ...changes.filter((change) => !isMove(change)),
    ...changesOf(cgroup, limits),
    ...changes.filter(isMove),
    ...attributes.changes,
  ];
}
