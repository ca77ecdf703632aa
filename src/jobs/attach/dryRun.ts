import type { LimitOutcome } from "../../limits/outcome.ts";
import { DryRunFs } from "../../linux/cgroup/dryRunFs.ts";
import { applyCgroupLimits, applyTenantLimits } from "../../linux/cgroup/jobCgroup.ts";
import { listTree } from "../../linux/proc/table.ts";
import type { Context } from "../context.ts";
import type { JobSpec } from "../job.ts";
import { planAttributes } from "../limits/taskAttributes.ts";
import { planAttached } from "./attach.ts";
import type { Eligible } from "./eligibility.ts";

/** What governing a process would do, as far as it can be told without doing it. */
export interface DryRun {
  /** The directories that the job's processes would be in. */
  cgroups: string[];
  /** What would come of each limit, if the kernel takes what is written. */
  outcomes: LimitOutcome[];
  /** Cgroup files, in their order. */
  writes: { path: string; data: string }[];
  /** Values of processes and threads that would be changed. */
  attributes: { limit: string; pid: number; tid: number; from: number; to: number }[];
}

/** Goes the way of `attach` with the same code and writes nothing. */
export function planDryRun(context: Context, { stat, membership }: Eligible, spec: JobSpec): DryRun {
  const { host } = context;
  const { pid } = stat;
  const fs = new DryRunFs(host.cgroupFs);
  const cgroup = { ...planAttached(context, pid, membership, spec).cgroup, fs };
  const totals = applyTenantLimits(cgroup, spec.tenant?.limits ?? {});
  const applied = applyCgroupLimits(cgroup, spec.limits);
  const plan = planAttributes(host, listTree(host, pid), spec.limits);
  return {
    cgroups: cgroup.directories.map(({ path }) => path),
    outcomes: [...applied, ...totals, ...plan.refusals],
    writes: fs.writes,
    attributes: plan.touched.map(({ value, pid, tid, before, after }) => ({
      limit: value,
      pid,
      tid,
      from: before,
      to: after,
    })),
  };
}
