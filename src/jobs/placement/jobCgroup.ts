import { addUsage, type Usage } from "../../limits/usage.ts";
import type { CgroupRequest } from "../../linux/cgroup/backend.ts";
import { findJobCgroup } from "../../linux/cgroup/findJobCgroup.ts";
import type { Membership } from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { readUsage } from "../../linux/cgroup/jobUsage.ts";
import { planJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import type { Context } from "../context.ts";
import { groupName, type Tenant, tenantGroupName } from "../job.ts";
import type { Job } from "../model/job.ts";

/** Finds the job's cgroup as it is in the system now. */
export function jobCgroupOf(context: Context, job: Job): JobCgroup {
  return findJobCgroup(context.host.cgroupFs, context.hierarchies, job);
}

/** Plans the cgroup of a job for processes that are in the cgroups of `membership`. Writes nothing. */
export function planCgroup(
  { host, hierarchies, state: { tag }, ledger }: Context,
  jobId: string,
  membership: Membership,
  { tenant, ...request }: Omit<CgroupRequest, "name" | "tenant" | "shared"> & { tenant: Tenant | null },
): JobCgroup {
  return planJobCgroup(host.cgroupFs, hierarchies, membership, {
    ...request,
    name: groupName(tag, jobId),
    tenant: tenant ? { name: tenantGroupName(tag, tenant.name), limits: tenant.limits } : undefined,
    shared: () => ledger.sharedChanges(),
  });
}

/** Reads what the job has used since it is governed, in its cgroup and in those that it was moved out of. */
export function usageOf({ carriedUsage }: Job, cgroup: JobCgroup): Usage {
  const usage = readUsage(cgroup);
  return carriedUsage === null ? usage : addUsage(carriedUsage, usage);
}
