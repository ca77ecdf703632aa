import { basename } from "node:path";
import { type Limits, mergeLayers } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { tenantPathName } from "../policy/tenant.ts";
import type { Context } from "./context.ts";
import { recordedCommand } from "./model/command.ts";
import type { Job, JobFields, JobMode, StartingJob } from "./model/job.ts";

/** The properties of a job that its caller chooses. */
export interface JobSpec extends Pick<JobFields, "jobId" | "limits" | "intent" | "slaEligible" | "labels"> {
  tenant: Tenant | null;
  decidedBy?: JobFields["decidedBy"];
  /** The placement on cgroup v2 of a process that runs already; absent: `auto`. */
  placement?: Placement;
}

/** A customer or account whose jobs can share limits. */
export interface Tenant {
  name: string;
  /** The limits of all the tenant's jobs together. Without any, the jobs are only counted together. */
  limits: Limits;
}

/** Leaves room in a file name (255 bytes) for the prefix and suffix that ffrtmp adds. */
const MAX_JOB_ID = 128;

/** Returns what is wrong with a job id, or `undefined`. Job ids are part of file, cgroup and unit names. */
export function faultInJobId(jobId: string): string | undefined {
  if (jobId === "") return "it is empty";
  if (jobId.length > MAX_JOB_ID)
    return `it has ${jobId.length} characters, and at most ${MAX_JOB_ID} are allowed`;
  const position = jobId.search(/[^A-Za-z0-9._-]/);
  if (position >= 0) {
    const character = String.fromCodePoint(jobId.codePointAt(position) as number);
    return `character ${position + 1} is ${JSON.stringify(character)}; letters, digits, ".", "_" and "-" are allowed`;
  }
  return /^[A-Za-z0-9]/.test(jobId) ? undefined : "it does not start with a letter or a digit";
}

/** Returns a job id from the command, the time and two random digits: `ffmpeg-1j8k2m0q-4f`. */
export function generateJobId(command: string, now: number): string {
  // The last part of a URL, which is no command, may be a stream key.
  const name = (command.includes("://") ? "" : basename(command))
    .replace(/[^A-Za-z0-9._-]/g, "")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 40);
  // Not by `crypto`, which takes 0.3 ms to load.
  const random = Math.floor(256 * Math.random())
    .toString(16)
    .padStart(2, "0");
  return `${name || "job"}-${now.toString(36)}-${random}`;
}

/** Returns the limits to apply to a job: those set by hand override those of its caller or policy. */
export function limitsInForce({ limits, byHand }: Pick<Job, "limits" | "byHand">): Limits {
  return mergeLayers(limits, byHand);
}

/** Returns the name of a job's cgroup directories. The tag distinguishes state directories. */
export function groupName(tag: string, jobId: string): string {
  return `ffrtmp-${tag}-${jobId}`;
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
