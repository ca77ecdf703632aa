import { basename } from "node:path";
import type { Limits } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { tenantPathName } from "../policy/tenant.ts";
import type { Context } from "./context.ts";
import { type Job, type JobMode, type NewJob, type StartingJob, startJob } from "./model/job.ts";

/** What may be said of any job when it is begun. */
export interface JobSpec {
  jobId: string;
  limits: Limits;
  intent: string | null;
  slaEligible: boolean;
  /** On whose account it runs; `null`: nobody's. */
  tenant: Tenant | null;
  labels: Record<string, string>;
  /** Of the cgroup of a process that runs already; absent: `auto`. */
  placement?: Placement;
}

/** Somebody whose jobs have limits together. */
export interface Tenant {
  /** In the operator's word. */
  name: string;
  /** The total; without a limit the tenant's jobs are only counted together. */
  limits: Limits;
}

/** Longer names would not fit into a file name together with what we put around them. */
const MAX_JOB_ID = 128;

/**
 * A job id becomes part of file names, cgroup names and unit names: it may hold ASCII letters, digits, `.`, `_` and
 * `-`, and begins with a letter or digit. Returns what is wrong, or `undefined`.
 */
export function faultInJobId(jobId: string): string | undefined {
  if (jobId === "") return "it is empty";
  if (jobId.length > MAX_JOB_ID) return `it has ${jobId.length} characters, ${MAX_JOB_ID} are the most`;
  const position = jobId.search(/[^A-Za-z0-9._-]/);
  if (position >= 0) {
    const character = String.fromCodePoint(jobId.codePointAt(position) as number);
    return `character ${position + 1} is ${JSON.stringify(character)}; letters, digits, ".", "_" and "-" are allowed`;
  }
  if (!/^[A-Za-z0-9]/.test(jobId)) return "it does not begin with a letter or a digit";
  return undefined;
}

/** `ffmpeg-1j8k2m0q-4f`: the command, the time, and two random digits. */
export function generateJobId(command: string, now: number): string {
  const name = basename(command)
    .replace(/[^A-Za-z0-9._-]/g, "")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 40);
  const random = Math.floor(Math.random() * 256)
    .toString(16)
    .padStart(2, "0");
  return `${name || "job"}-${now.toString(36)}-${random}`;
}

/** The limits that a job is to have: what was set by hand goes before what its caller or the policy wants. */
export function limitsInForce({ limits, byHand }: Pick<Job, "limits" | "byHand">): Limits {
  return { ...limits, ...byHand };
}

/** All our cgroups carry this prefix, whatever state directory they belong to. */
const GROUP_PREFIX = "ffrtmp-";

/** The name of a job's cgroup directories. The tag keeps jobs of different state directories apart. */
export function groupName(tag: string, jobId: string): string {
  return `${GROUP_PREFIX}${tag}-${jobId}`;
}

/** The name of a tenant's group; two different tenants never share one. The @ tells it from the names of jobs. */
export function tenantGroupName(tag: string, tenant: string): string {
  return `${GROUP_PREFIX}${tag}-@${tenantPathName(tenant)}`;
}

/** Whether a directory's name is that of a tenant's group. */
export function isTenantGroup(name: string): boolean {
  return /^ffrtmp-[0-9a-f]{6}-@./.test(name);
}

/** Whether a cgroup path leads through a cgroup of any ffrtmp job. */
export function isGovernedPath(cgroupPath: string): boolean {
  return cgroupPath.split("/").some((part) => /^ffrtmp-[0-9a-f]{6}-./.test(part));
}

/** Creates a job that this ffrtmp starts. */
export function newJob(
  context: Context,
  mode: JobMode,
  spec: JobSpec,
  facts: Pick<NewJob, "command" | "cwd" | "uid" | "process" | "cgroup" | "changes" | "logPath">,
): StartingJob {
  return startJob({
    ...facts,
    key: Bun.randomUUIDv7(),
    jobId: spec.jobId,
    mode,
    createdMs: context.host.now(),
    observer: context.self,
    intent: spec.intent,
    slaEligible: spec.slaEligible,
    tenant: spec.tenant?.name ?? null,
    labels: spec.labels,
    limits: spec.limits,
  });
}
