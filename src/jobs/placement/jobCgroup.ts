import { addUsage, type Usage } from "../../limits/usage.ts";
import { findJobCgroup } from "../../linux/cgroup/findJobCgroup.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { readUsage } from "../../linux/cgroup/jobUsage.ts";
import type { Context } from "../context.ts";
import type { Job } from "../model/job.ts";

/** Finds the job's cgroup as it is in the system now. */
export function jobCgroupOf(context: Context, job: Job): JobCgroup {
  return findJobCgroup(context.host.cgroupFs, context.hierarchies, job);
}

/** Reads what the job has used since it is governed, in its cgroup and in those that it was moved out of. */
export function usageOf({ carriedUsage }: Job, cgroup: JobCgroup): Usage {
  const usage = readUsage(cgroup);
  return carriedUsage === null ? usage : addUsage(carriedUsage, usage);
}
