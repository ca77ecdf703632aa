import { type Limits, mergeLayers } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { tenantPathName } from "../policy/tenant.ts";
import type { Context } from "./context.ts";
import { recordedCommand } from "./model/command.ts";
import type { Job, JobFields, JobMode, StartingJob } from "./model/job.ts";
import { groupName } from "./model/jobId.ts";

/** The properties of a job that its caller chooses. */
export interface JobSpec extends Pick<JobFields, "jobId" | "limits" | "intent" | "slaEligible" | "labels"> {
  tenant: Tenant | null;
  decidedBy?: JobFields["decidedBy"];
  /** The placement on cgroup v2 of a process that runs already; absent: `auto`. */
  placement?: Placement;
  /** Register the job only if no job has ever had its id. */
  once?: boolean;
}

/** A customer or account whose jobs can share limits. */
export interface Tenant {
  name: string;
  /** The limits of all the tenant's jobs together. Without any, the jobs are only counted together. */
  limits: Limits;
}

/** Returns the limits to apply to a job: those set by hand override those of its caller or policy. */
export function limitsInForce({ limits, byHand }: Pick<Job, "limits" | "byHand">): Limits {
  return mergeLayers(limits, byHand);
}

/** Returns the name of a tenant's cgroup, unique for each tenant. No job id contains the @. */
export function tenantGroupName(tag: string, tenant: string): string {
  return groupName(tag, `@${tenantPathName(tenant)}`);
}

/** Returns the name of the cgroup of the commands that `on_end` runs. It is not that of a job or tenant. */
export function hookGroupName(tag: string): string {
  return `${HOOK_GROUP}${tag}`;
}

/** Returns true for a path that leads through the cgroup of commands of `on_end`. */
export function isHookPath(cgroupPath: string): boolean {
  return cgroupPath.includes(`/${HOOK_GROUP}`);
}

const HOOK_GROUP = "ffrtmp.hooks-";

export function isTenantGroup(name: string): boolean {
  return /^ffrtmp-[0-9a-f]{6}-@./.test(name);
}

/** Returns true for a path that leads through a cgroup of any ffrtmp job or tenant. */
export function isGovernedPath(cgroupPath: string): boolean {
  return cgroupPath.split("/").some(isGroupName);
}

/** Returns true for the name of a cgroup of any ffrtmp job, of its scope or of a tenant. */
export function isGroupName(name: string): boolean {
  return /^ffrtmp-[0-9a-f]{6}-[\w.%~@-]+$/.test(name);
}

/** Returns the job that has this name of a cgroup or a scope; `undefined` for that of a tenant. */
export function jobIdOfGroup(name: string): string | undefined {
  return /^ffrtmp-[0-9a-f]{6}-([\w.-]+?)(?:\.scope)?$/.exec(name)?.[1];
}

export function newJob(
  context: Context,
  mode: JobMode,
  { jobId, intent, slaEligible, tenant, labels, limits, decidedBy = null }: JobSpec,
  facts: Pick<StartingJob, "command" | "cwd" | "uid" | "process" | "cgroup" | "changes" | "logPath"> &
    Partial<Pick<StartingJob, "commandCut">>,
): StartingJob {
  return {
    ...facts,
    ...recordedCommand(facts.command, facts.commandCut),
    state: "starting",
    key: Bun.randomUUIDv7(),
    jobId,
    mode,
    createdMs: context.host.now(),
    observer: context.self,
    intent,
    slaEligible,
    tenant: tenant?.name ?? null,
    labels,
    limits,
    byHand: null,
    outcomes: [],
    carriedUsage: null,
    decidedBy,
  };
}
