import { basename, dirname } from "node:path";
import type { Limits } from "../../limits/limits.ts";
import { directoryOf, type Hierarchy, readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import { planScope, type ScopePlan, startScope } from "../../linux/systemd/scope.ts";
import { findUnitFilters, parseUnitPlace } from "../../linux/systemd/units.ts";
import { describeErrno } from "../../sys/errno.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { groupName, isGovernedPath } from "../job.ts";
import type { Job } from "../model/job.ts";
import { dismissKeeper, KEEPERS_CGROUP, releaseKeeper, startKeeper } from "./scopeKeeper.ts";

/** How long systemd may take to move a process after it has said that it will. */
const EFFECT_TIMEOUT_MS = 5000;
const POLL_MS = 2;

/** The tree whose cgroups systemd's units are; `undefined` where systemd does not run the machine on cgroup v2. */
export function unitsHierarchy({ host, hierarchies }: Context): Hierarchy | undefined {
  if (!host.bus) return undefined;
  return hierarchies.find(({ version, controllers }) => version === 2 && controllers.length > 0);
}

export function scopeName(tag: string, jobId: string): string {
  return `${groupName(tag, jobId)}.scope`;
}

/** Whether a cgroup is a scope that was made for a job, by its name. */
export function isOwnScope(name: string): boolean {
  return isGovernedPath(name) && name.endsWith(".scope");
}

/**
 * The scope in which a workload outlives whatever starts it: a service that is stopped, a session that ends.
 * `undefined` where it would be of no use or cannot be had; a workload of a governed workload stays inside with it.
 */
export function planOwnScope(context: Context, jobId: string, limits: Limits): ScopePlan | undefined {
  const { host, state } = context;
  const hierarchy = unitsHierarchy(context);
  const membership = readMembership(host, "self");
  const own = hierarchy && membership !== "gone" ? membership.get(hierarchy.key) : undefined;
  if (!hierarchy || own === undefined || isGovernedPath(own)) return undefined;
  // In no unit, there is none whose stop it would have to outlive.
  if (!parseUnitPlace(own)) return undefined;
  const uid = process.geteuid?.() ?? 0;
  const plan = planScope(host.cgroupFs, hierarchy, own, scopeName(state.tag, jobId), uid, limits);
  return typeof plan === "string" ? undefined : plan;
}

/**
 * Puts this process into a new scope, and within it beside the job that is to come: so the workload is born into the
 * scope, this process outlives what called it too, and the scope lasts until the job's counters were read.
 * Returns why it could not be; this process is where it was then, or will be moved later without harm.
 */
export function enterOwnScope(context: Context, plan: ScopePlan, jobId: string): string | undefined {
  const { host } = context;
  const hierarchy = unitsHierarchy(context);
  const directory = hierarchy && directoryOf(hierarchy, plan.cgroupPath);
  if (!host.bus || !hierarchy || directory === undefined) return "no systemd runs here";
  const membership = readMembership(host, "self");
  const own = membership === "gone" ? undefined : membership.get(hierarchy.key);
  return (
    (own === undefined ? undefined : findUnitFilters(host.bus, own)) ??
    startScope(host.bus, plan, process.pid, `ffrtmp job ${jobId}`) ??
    awaitMove(host, process.pid, hierarchy, plan) ??
    // Where no cgroup can be made for the job, it is in the scope itself.
    (hierarchy.isReadOnly ? undefined : makeRoom(host, directory, process.pid))
  );
}

/** What the bus says is not yet so: the process's own file tells when it is. */
function awaitMove(
  host: Host,
  pid: number,
  { key }: Hierarchy,
  { unit, cgroupPath }: ScopePlan,
): string | undefined {
  const deadline = performance.now() + EFFECT_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const membership = readMembership(host, pid);
    if (membership === "gone") return `process ${pid} ended before it was in ${unit}`;
    if (membership.get(key) === cgroupPath) return undefined;
    Bun.sleepSync(POLL_MS);
  }
  return `systemd said that it starts ${unit}, but put nothing into ${cgroupPath} within ${EFFECT_TIMEOUT_MS / 1000} s`;
}

/** A cgroup that holds processes itself cannot give memory and io to others: who keeps the scope sits beside the job. */
function makeRoom({ cgroupFs }: Host, scope: string, pid: number): string | undefined {
  const keeper = `${scope}/${KEEPERS_CGROUP}`;
  try {
    if (!cgroupFs.exists(keeper)) cgroupFs.mkdir(keeper);
    cgroupFs.write(`${keeper}/cgroup.procs`, String(pid));
    return undefined;
  } catch (error) {
    return `${describeErrno(error)} making room in ${scope}`;
  }
}

/**
 * Makes the scope for a job whose process runs already, with a process in it that keeps it. Throws a Refusal, having left
 * nothing, when systemd does not make it.
 */
export function openScope(context: Context, job: Job, plan: ScopePlan): void {
  const { host } = context;
  const hierarchy = unitsHierarchy(context);
  const directory = hierarchy && directoryOf(hierarchy, plan.cgroupPath);
  if (!host.bus || !hierarchy || directory === undefined) throw new Refusal("no systemd runs here");
  const keeper = startKeeper(job, `${directory}/${groupName(context.state.tag, job.jobId)}`);
  const refusal =
    startScope(host.bus, plan, keeper.pid, `ffrtmp job ${job.jobId}`) ??
    awaitMove(host, keeper.pid, hierarchy, plan) ??
    makeRoom(host, directory, keeper.pid);
  if (refusal === undefined) return;
  dismissKeeper(job);
  throw new Refusal(
    `cannot make a scope for job ${job.jobId}: ${refusal}`,
    "--placement auto, in-place or nested need no systemd",
  );
}

/**
 * Keeps the scope of a job that this process has taken over from another, which kept it until then: `run` by being in it
 * itself. Where it cannot be done, the counters go with the job.
 */
export function takeOverScope({ host }: Context, job: Job): void {
  const path = job.cgroup.map((each) => each.path).find((each) => isOwnScope(basename(dirname(each))));
  if (path === undefined) return;
  const keeper = startKeeper(job, path);
  if (makeRoom(host, dirname(path), keeper.pid) !== undefined) dismissKeeper(job);
}

/** Nothing more is to be read in the scope of a job: it may go. */
export function leaveScope(job: Pick<Job, "key">): void {
  releaseKeeper(job);
}
