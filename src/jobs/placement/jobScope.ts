import { basename, dirname } from "node:path";
import {
  directoryOf,
  type Hierarchy,
  type Membership,
  readMembership,
} from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import { enterScope, type Scope, type ScopeEntry, startScopeWith } from "../../linux/systemd/ownScope.ts";
import { planScope, type ScopePlan, scopeProperties } from "../../linux/systemd/scope.ts";
import { parseUnitPlace } from "../../linux/systemd/units.ts";
import { describeErrno } from "../../sys/errno.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { isGovernedPath, type JobSpec } from "../job.ts";
import type { Job } from "../model/job.ts";
import { groupName } from "../model/jobId.ts";
import { dismissKeeper, KEEPERS_CGROUP, startKeeper } from "./scopeKeeper.ts";

const NO_SYSTEMD = "no systemd runs here";

/** Returns the tree of systemd's units; `undefined` where systemd does not run the machine on cgroup v2. */
export function unitsHierarchy(context: Context): Hierarchy | undefined {
  return context.host.bus && unifiedHierarchy(context);
}

/** Returns the hierarchy of cgroup v2; `undefined` where v1 has all controllers. */
export function unifiedHierarchy({ hierarchies }: Context): Hierarchy | undefined {
  return hierarchies.find(({ version, controllers }) => version === 2 && controllers.length > 0);
}

/** Returns true for the name of a scope that was created for a job. */
export function isOwnScope(name: string): boolean {
  return isGovernedPath(name) && name.endsWith(".scope");
}

export type ScopeSpec = Pick<JobSpec, "jobId" | "limits">;

/** Plans the scope of a job beside the unit of a cgroup. Returns a string when a scope is not possible. */
export function planJobScope(context: Context, cgroupPath: string, spec: ScopeSpec): ScopePlan | string {
  const hierarchy = unitsHierarchy(context);
  if (!hierarchy) return NO_SYSTEMD;
  const { host, state } = context;
  const name = `${groupName(state.tag, spec.jobId)}.scope`;
  return planScope(host.cgroupFs, hierarchy, cgroupPath, name, process.geteuid?.() ?? 0, spec.limits);
}

/**
 * Plans the scope in which a workload outlives what starts it: a service that is stopped, a session that ends. Returns
 * `undefined` where a scope would not help or is not possible. A workload of a governed workload stays in its cgroup.
 * `membership`: the cgroups of this process.
 */
export function planOwnScope(
  context: Context,
  spec: ScopeSpec,
  membership = readMembership(context.host, "self"),
): ScopePlan | undefined {
  const own = ownCgroupPath(context, membership);
  // A process in no unit does not end with one.
  if (own === undefined || isGovernedPath(own) || !parseUnitPlace(own)) return undefined;
  const plan = planJobScope(context, own, spec);
  return typeof plan === "string" ? undefined : plan;
}

/** The entry of this process into the scope of a job. */
export interface OwnScope {
  entry: ScopeEntry;
  /** The directory of the cgroup that this process leaves; `undefined` outside of what is mounted here. */
  origin: string | undefined;
}

/**
 * Moves this process into a new scope, beside the cgroup of the planned job. So the workload starts in the scope, this
 * process outlives its caller too, and the scope lasts until the job's counters were read. Returns why that failed; then
 * this process is where it was, or is moved later without harm. `entering` is called before the first request.
 */
export function enterOwnScope(
  context: Context,
  plan: ScopePlan,
  jobId: string,
  entering: (scope: OwnScope) => void = () => {},
): string | undefined {
  const { host } = context;
  const [hierarchy, from] = [unitsHierarchy(context), ownCgroupPath(context, readMembership(host, "self"))];
  if (!host.bus || !hierarchy || from === undefined) return NO_SYSTEMD;
  const entry = { ...scopeOf(plan, hierarchy), from };
  entering({ entry, origin: directoryOf(hierarchy, from) });
  return enterScope(host, host.bus, entry, jobId) ?? leaveRoomForJob(context, plan, "self");
}

function scopeOf(plan: ScopePlan, { key }: Hierarchy): Scope {
  const { manager, unit, cgroupPath } = plan;
  return { manager, unit, properties: scopeProperties(plan), hierarchy: key, cgroupPath };
}

/** Returns the cgroup of this process in the tree of systemd's units, by its cgroups. */
function ownCgroupPath(context: Context, membership: Membership | "gone"): string | undefined {
  const hierarchy = unitsHierarchy(context);
  return hierarchy && membership !== "gone" ? membership.get(hierarchy.key) : undefined;
}

/** Starts a scope with a process in it, and moves the process beside the job's cgroup there. Returns why that failed. */
function startScopeBeside(context: Context, plan: ScopePlan, pid: number, jobId: string): string | undefined {
  const { host } = context;
  const hierarchy = unitsHierarchy(context);
  if (!host.bus || !hierarchy) return NO_SYSTEMD;
  return (
    startScopeWith(host, host.bus, scopeOf(plan, hierarchy), pid, jobId) ??
    leaveRoomForJob(context, plan, pid)
  );
}

/** Moves the process of a scope beside the cgroup that a job gets there. Returns why that failed. */
function leaveRoomForJob(
  context: Context,
  { cgroupPath }: ScopePlan,
  pid: number | "self",
): string | undefined {
  const hierarchy = unitsHierarchy(context);
  const directory = hierarchy && directoryOf(hierarchy, cgroupPath);
  if (!hierarchy || directory === undefined) return NO_SYSTEMD;
  // Where no cgroup can be created for the job, it is in the scope itself.
  return hierarchy.isReadOnly ? undefined : moveToKeepers(context.host, directory, pid);
}

/** A cgroup that contains processes cannot enable memory and io for others, so what keeps a scope is beside the job. */
function moveToKeepers({ cgroupFs }: Host, scope: string, pid: number | "self"): string | undefined {
  const keepers = `${scope}/${KEEPERS_CGROUP}`;
  try {
    if (!cgroupFs.exists(keepers)) cgroupFs.mkdir(keepers);
    // The kernel takes 0 for the process that writes it, in each launch.
    cgroupFs.write(`${keepers}/cgroup.procs`, pid === "self" ? "0" : String(pid));
    return undefined;
  } catch (error) {
    return `${describeErrno(error)} moving PID ${pid === "self" ? process.pid : pid} to ${keepers}`;
  }
}

/**
 * Starts the scope of a job whose process runs already, with a process that keeps the scope. Throws a Refusal, having
 * left nothing, when systemd does not start it.
 */
export function openScope(context: Context, job: Job, plan: ScopePlan): void {
  const keeper = startKeeper(job, pathInScope(context, job) ?? "");
  const refusal = startScopeBeside(context, plan, keeper.pid, job.jobId);
  if (refusal === undefined) return;
  dismissKeeper(job);
  throw new Refusal(
    `cannot start a scope for job ${job.jobId}: ${refusal}`,
    "--placement auto, in-place or nested need no systemd",
  );
}

/**
 * Keeps the scope of a job that this process has taken over from another ffrtmp, which kept the scope until then: `run`
 * keeps it by being in it. Where that fails, the counters are lost with the job.
 */
export function takeOverScope(context: Context, job: Job): void {
  const path = pathInScope(context, job);
  if (path === undefined) return;
  const keeper = startKeeper(job, path);
  if (moveToKeepers(context.host, dirname(path), keeper.pid) !== undefined) dismissKeeper(job);
}

/** Returns the job's cgroup where that is in a scope of its own. */
function pathInScope({ hierarchies }: Context, { cgroup }: Job): string | undefined {
  const mounted = cgroup.filter((each) => hierarchies.some(({ key }) => key === each.hierarchy));
  return mounted.map(({ path }) => path).find((path) => isOwnScope(basename(dirname(path))));
}
