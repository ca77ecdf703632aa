import { basename, dirname } from "node:path";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CgroupChange, CgroupCreated } from "../change.ts";
import { backendOf, controllersOf } from "./backends.ts";
import { writeCgroupFile } from "./file.ts";
import { formerPaths, type JobCgroup, type JobDirectory } from "./jobCgroup.ts";
import { listOccupants } from "./members.ts";
import { restoreFile } from "./ownerFiles.ts";
import { isForeign } from "./trust.ts";
import { childrenOf, disableControllers, enableControllers, listDisabled } from "./v2/subtreeControl.ts";

/** Every cgroup of an ffrtmp job has a name with this prefix, whatever its state directory is. */
export const CGROUP_PREFIX = "ffrtmp-";

export class CgroupInUse extends Error {
  readonly path: string;
  readonly pids: number[];

  constructor(path: string, pids: number[]) {
    super(`${path} contains processes already: ${pids.join(", ")}`);
    this.path = path;
    this.pids = pids;
  }
}

/**
 * Makes the directories of a job by executing its changes, or those given. A change that the kernel refuses leaves the
 * journal, its controllers become unavailable, and the rest continues.
 * Throws only a `CgroupInUse`, when a cgroup of that name contains processes; every change is undone then.
 */
export function createJobCgroup(job: JobCgroup, changes: readonly CgroupChange[] = job.changes): void {
  const { fs } = job;
  const made: CgroupChange[] = [];
  job.directories = job.directories.filter((directory) => {
    const own = changes.filter(({ hierarchy }) => hierarchy === directory.hierarchy.key);
    const before = { made: made.length, unavailable: job.unavailable.length };
    try {
      for (const group of together(own)) {
        const done = execute(job, directory, group);
        made.push(...done);
        if (done.length < group.length)
          job.changes = job.changes.filter((each) => !group.includes(each) || done.includes(each));
      }
      if (backendOf(directory.hierarchy).complete(job, directory)) return true;
    } catch (error) {
      if (error instanceof CgroupInUse) {
        undoAll(fs, made);
        throw error;
      }
      const because = `${describeErrno(error)} making ${directory.path}`;
      // Without the directory, it does not matter which controllers were refused.
      job.unavailable.splice(before.unavailable);
      job.unavailable.push(...directory.controllers.map(({ name }) => ({ controller: name, because })));
    }
    undoAll(fs, made.splice(before.made));
    job.changes = job.changes.filter((change) => !own.includes(change));
    return false;
  });
}

/** How often a tenant's cgroup is created again that the end of the tenant's last job removed before ours was in it. */
const MAX_TENANT_TRIES = 10;

/** Splits changes into groups that one write makes: controllers of the same cgroup, and every other change by itself. */
function together(changes: readonly CgroupChange[]): CgroupChange[][] {
  const groups: CgroupChange[][] = [];
  for (const change of changes) {
    const last = groups.at(-1);
    const isSameFile =
      change.kind === "controller-enabled" && last?.[0]?.kind === change.kind && last[0].path === change.path;
    if (isSameFile) last.push(change);
    else groups.push([change]);
  }
  return groups;
}

/** Makes the changes of a group. Returns those without the ones that the kernel refuses and that the job can do without. */
function execute(job: JobCgroup, directory: JobDirectory, group: readonly CgroupChange[]): CgroupChange[] {
  const [first] = group;
  if (first?.kind === "controller-enabled") {
    // After a refusal further up, no level below can have the controller.
    const possible = controllersIn(group).filter(
      (name) => !job.unavailable.some(({ controller }) => controller === name),
    );
    const enabled = enableControllers(job, first.path, possible);
    return group.filter(
      (change) => change.kind === "controller-enabled" && enabled.includes(change.controller),
    );
  }
  for (const change of group) if (change.kind === "cgroup-created") create(job, directory, change);
  return [...group];
}

function controllersIn(changes: readonly CgroupChange[]): string[] {
  return changes.flatMap((change) => (change.kind === "controller-enabled" ? [change.controller] : []));
}

function create(job: JobCgroup, directory: JobDirectory, change: CgroupCreated): void {
  for (let tries = 1; ; tries++) {
    try {
      createCgroup(job, directory, change);
      return;
    } catch (error) {
      const { tenant, origin } = directory;
      const isTenantGone = errnoOf(error) === "ENOENT" && job.fs.exists(origin);
      if (!isTenantGone || tenant === undefined || change.path === tenant || tries === MAX_TENANT_TRIES)
        throw error;
      createCgroup(job, directory, { ...change, path: tenant, role: "tenant" });
    }
  }
}

function createCgroup(job: JobCgroup, { hierarchy }: JobDirectory, created: CgroupCreated): void {
  const { fs } = job;
  const { path, role, threaded, carried = {} } = created;
  try {
    fs.mkdir(path);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    // Another user who made it first, in a subtree that is delegated to him, could change the limits in it.
    if (isForeign(fs, path)) throw new CgroupInUse(path, []);
    if (role === "tenant") return;
    // Left by an ffrtmp that died before its workload joined. The directory is replaced, so that no old limit stays in it;
    // but first every hierarchy is checked: the workload may have joined another one.
    for (const each of job.directories) {
      const occupied = each.wrapperSlot ?? each.carrier ?? each.path;
      const occupants = each.placedAs === "in-place" ? [] : listOccupants(fs, occupied);
      if (occupants.length > 0) throw new CgroupInUse(occupied, occupants);
    }
    removeTree(fs, path);
    fs.mkdir(path);
  }
  try {
    if (threaded) fs.write(`${path}/cgroup.type`, "threaded");
    // Before any process is inside. The kernel takes one line of io.max per write.
    for (const [file, text] of Object.entries(carried))
      for (const line of text.split("\n")) fs.write(`${path}/${file}`, line);
    // All controllers, requested or not: a cpuset that shares the hierarchy lets no process in until it is prepared.
    for (const controller of controllersOf(hierarchy)) controller.prepare?.({ fs, hierarchy, path });
  } catch (error) {
    fs.rmdir(path);
    throw error;
  }
}

/** Returns the changes whose effect the machine does not show now. */
export function driftOf(fs: CgroupFs, changes: readonly CgroupChange[]): CgroupChange[] {
  return changes.filter((change) => {
    if (change.kind === "cgroup-created") return !fs.exists(change.path);
    if (change.kind !== "controller-enabled") return false;
    return listDisabled(fs, change.path, [change.controller]).length > 0;
  });
}

/**
 * Removes a job's cgroup by undoing its changes: removes the directories, and those that the workload made below them and
 * left empty; restores the files that were written in place; disables controllers unless `isShared` says that other jobs
 * need them. Returns the paths that still contain processes or a value of ours; those hierarchies stay as they are.
 */
export function removeJobCgroup(
  { fs, changes, directories }: JobCgroup,
  isShared: (change: CgroupChange) => boolean = () => false,
): string[] {
  const byHierarchy = Map.groupBy(changes, ({ hierarchy }) => hierarchy);
  return [...byHierarchy].flatMap(([key, ofHierarchy]) => {
    const own = directories.find(({ hierarchy }) => hierarchy.key === key)?.path;
    // The earlier cgroup of a job that was migrated goes first: its processes are the job's too.
    const former = own === undefined ? [] : formerPaths(ofHierarchy, key, own);
    const toUndo = ofHierarchy.filter((change) => !isShared(change));
    return former.find((path) => !removeDirectory(fs, path)) ?? undoAll(fs, toUndo, own) ?? [];
  });
}

/** Undoes changes in the reverse order. Stops at the first that cannot be undone and returns its cgroup. */
function undoAll(fs: CgroupFs, changes: readonly CgroupChange[], own?: string): string | undefined {
  const outermost = changes.find(({ kind }) => kind === "cgroup-created");
  const parent = outermost?.kind === "cgroup-created" ? dirname(outermost.path) : undefined;
  for (const group of together(changes.toReversed())) {
    const [change] = group as [CgroupChange];
    if (change.kind === "cgroup-created") {
      if (change.role === "tenant") removeIfEmpty(fs, change.path);
      else if (!removeDirectory(fs, change.path)) return change.path;
    } else if (change.kind === "controller-enabled") {
      const { path } = change;
      // Jobs of other state directories rely on it too, and only their names show that they are jobs.
      const siblings = path === parent ? childrenOf(fs, parent) : [];
      const isNeeded = siblings.some((name) => name.startsWith(CGROUP_PREFIX));
      if (!isNeeded && !isScopeOf(own, path)) disableControllers(fs, path, controllersIn(group), own);
    } else if (change.kind === "file-written" && restoreFile(fs, change) !== undefined) {
      return dirname(change.path);
    }
  }
  return undefined;
}

/** Returns whether a cgroup is the scope that was started for a job. It goes away as a whole, with its last process. */
function isScopeOf(own: string | undefined, path: string): boolean {
  return own !== undefined && path === dirname(own) && basename(path) === `${basename(own)}.scope`;
}

/** Removes the cgroups that a job had before it was migrated, once they are empty. */
export function removeFormerDirectories(job: JobCgroup): void {
  for (const directory of job.directories) {
    const { formerly, hierarchy, tenant, origin } = directory;
    if (formerly === undefined) continue;
    if (!removeDirectory(job.fs, formerly)) return;
    const around = dirname(formerly);
    if (around !== origin) removeIfEmpty(job.fs, around);
    delete directory.formerly;
    job.changes = job.changes.filter((change) => {
      if (change.hierarchy !== hierarchy.key) return true;
      if (change.kind === "processes-moved") return change.to !== formerly;
      if (change.kind !== "cgroup-created" || change.path === tenant) return true;
      return change.path !== formerly && change.path !== around;
    });
  }
}

/** Only the last job of a tenant removes the tenant's cgroup: the kernel refuses while another job is there. */
function removeIfEmpty(fs: CgroupFs, path: string): void {
  try {
    fs.rmdir(path);
  } catch {
    // In use, or removed with the last job of another ffrtmp.
  }
}

function removeDirectory(fs: CgroupFs, path: string): boolean {
  try {
    fs.rmdir(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return true;
  }
  try {
    // Read before anything below is removed: a living workload keeps the empty cgroups that it made for itself.
    if (listOccupants(fs, path).length > 0) return false;
    removeTree(fs, path);
    return true;
  } catch (error) {
    return errnoOf(error) === "ENOENT";
  }
}

function removeTree(fs: CgroupFs, path: string): void {
  for (const child of fs.children(path)) removeTree(fs, `${path}/${child}`);
  fs.rmdir(path);
}

/**
 * Lets processes return to the cgroup above a job's. A cgroup takes none while it gives memory or io to others. The job's
 * limits go away with the controllers.
 */
export function openOrigin({ fs, changes }: JobCgroup, { origin: path }: JobDirectory): void {
  for (const change of changes) {
    // The move will report a refusal.
    if (change.kind === "controller-enabled" && change.path === path)
      writeCgroupFile({ fs, path }, "cgroup.subtree_control", `-${change.controller}`);
  }
}
