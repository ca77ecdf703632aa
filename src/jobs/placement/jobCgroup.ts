import { addUsage, type Usage } from "../../limits/usage.ts";
import { findJobCgroup } from "../../linux/cgroup/findJobCgroup.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { readUsage } from "../../linux/cgroup/jobUsage.ts";
import type { Context } from "../context.ts";
import type { Job } from "../model/job.ts";

/** The job's cgroup as it lies in the system now. */
export function jobCgroupOf(context: Context, job: Job): JobCgroup {
  return findJobCgroup(context.host.cgroupFs, context.hierarchies, job);
}

/** What the job has used since it is governed, in whatever cgroups of ours. */
export function usageOf({ carriedUsage }: Job, cgroup: JobCgroup): Usage {
  const usage = readUsage(cgroup);
  return carriedUsage === null ? usage : addUsage(carriedUsage, usage);
}
