import { dirname } from "node:path";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CgroupChange, CgroupCreated } from "../change.ts";
import { backendOf, controllersOf } from "./backends.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";
import { formerPaths } from "./jobCgroup.ts";
import { listOccupants } from "./members.ts";
import { restoreFile } from "./ownerFiles.ts";
import { childrenOf, disableController, enableController, listDisabled } from "./v2/subtreeControl.ts";

/** Every cgroup of an ffrtmp job has a name with this prefix, whatever its state directory is. */
const CGROUP_PREFIX = "ffrtmp-";

/** A cgroup of the wanted name exists and processes live in it. */
export class CgroupInUse extends Error {
  readonly path: string;
  readonly pids: number[];

  constructor(path: string, pids: number[]) {
    super(`${path} holds processes already: ${pids.join(", ")}`);
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
  const made: CgroupChange[] = [];
  const usable = job.directories.filter((directory) => {
    const own = changes.filter(({ hierarchy }) => hierarchy === directory.hierarchy.key);
    const begun = made.length;
    const before = job.unavailable.length;
    try {
      for (const change of own) {
        if (execute(job, directory, change)) made.push(change);
        else job.changes = job.changes.filter((each) => each !== change);
      }
    } catch (error) {
      if (error instanceof CgroupInUse) {
        undoAll(job.fs, made);
        throw error;
      }
      const because = `${describeErrno(error)} making ${directory.path}`;
      // Without the directory, it does not matter which controllers were refused.
      job.unavailable.splice(before);
      job.unavailable.push(...directory.controllers.map(({ name }) => ({ controller: name, because })));
      return giveUp(job, own, made.splice(begun));
    }
    return backendOf(directory.hierarchy).complete(job, directory) || giveUp(job, own, made.splice(begun));
  });
  job.directories = usable;
  for (const { hierarchy, path, controllers } of usable) {
    for (const controller of controllers) controller.settle?.({ fs: job.fs, hierarchy, path });
  }
}

function giveUp(job: JobCgroup, own: readonly CgroupChange[], made: readonly CgroupChange[]): false {
  undoAll(job.fs, made);
  job.changes = job.changes.filter((change) => !own.includes(change));
  return false;
}

/** Returns false for a change that the kernel refuses and that the job can do without. */
function execute(job: JobCgroup, directory: JobDirectory, change: CgroupChange): boolean {
  const { fs } = job;
  if (change.kind === "controller-enabled") {
    const { controller, path } = change;
    // After a refusal further up, no level below can have the controller.
    const isRefused = job.unavailable.some((each) => each.controller === controller);
    const because = isRefused ? undefined : enableController(fs, path, controller);
    if (because !== undefined) job.unavailable.push({ controller, because });
    return !isRefused && because === undefined;
  }
  if (change.kind !== "cgroup-created") return true;
  const { tenant } = directory;
  if (change.role === "tenant") createTenant(fs, directory, change);
  else if (change.role === "wrapper-slot") createEmpty(job, change.path);
  else if (tenant === undefined) createEmpty(job, change.path);
  else createInTenant(job, directory, change, tenant);
  if (change.role === "job") prepare(fs, directory, change, tenant ?? directory.origin);
  return true;
}

/** How often a tenant's cgroup is created again that the end of the tenant's last job removed before ours was in it. */
const MAX_TENANT_TRIES = 10;

function createInTenant(
  job: JobCgroup,
  directory: JobDirectory,
  { path, threaded }: CgroupCreated,
  tenant: string,
): void {
  for (let tries = 1; ; tries++) {
    try {
      createEmpty(job, path);
      return;
    } catch (error) {
      const isGone = errnoOf(error) === "ENOENT" && job.fs.exists(directory.origin);
      if (!isGone || tries === MAX_TENANT_TRIES) throw error;
      createTenant(job.fs, directory, { path: tenant, threaded });
    }
  }
}

function createTenant(
  fs: CgroupFs,
  directory: JobDirectory,
  change: { path: string; threaded?: true | undefined },
): void {
  if (createIfMissing(fs, change.path)) prepare(fs, directory, change, directory.origin);
}

function createIfMissing(fs: CgroupFs, path: string): boolean {
  try {
    fs.mkdir(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

function createEmpty({ fs, directories }: JobCgroup, path: string): void {
  if (createIfMissing(fs, path)) return;
  // Left by an ffrtmp that died before its workload joined. The directory is replaced, so that no old limit stays in it;
  // but first every hierarchy is checked: the workload may have joined another one.
  for (const each of directories) {
    if (each.placedAs !== "in-place") refuseOccupied(fs, each.wrapperSlot ?? each.path);
  }
  removeTree(fs, path);
  fs.mkdir(path);
}

function prepare(
  fs: CgroupFs,
  { hierarchy }: JobDirectory,
  { path, threaded }: { path: string; threaded?: true | undefined },
  parent: string,
): void {
  try {
    if (threaded) fs.write(`${path}/cgroup.type`, "threaded");
    // All controllers, requested or not: a cpuset that shares the hierarchy lets no process in until it is prepared.
    for (const controller of controllersOf(hierarchy)) {
      controller.prepare?.({ fs, hierarchy, path }, { fs, hierarchy, path: parent });
    }
  } catch (error) {
    fs.rmdir(path);
    throw error;
  }
}

function refuseOccupied(fs: CgroupFs, path: string): void {
  const occupants = listOccupants(fs, path);
  if (occupants.length > 0) throw new CgroupInUse(path, occupants);
}

/** The changes whose effect the machine does not show now. */
export function driftOf(fs: CgroupFs, changes: readonly CgroupChange[]): CgroupChange[] {
  return changes.filter((change) => {
    if (change.kind === "cgroup-created") return !fs.exists(change.path);
    if (change.kind === "controller-enabled")
      return listDisabled(fs, change.path, [change.controller]).length > 0;
    return false;
  });
}

/**
 * Removes a job's cgroup by undoing its changes: removes the directories, and those that the workload made below them and
 * left empty; restores the files that were written in place; disables controllers unless `isShared` says that other jobs
 * need them. Returns the paths that still contain processes or a value of ours; those hierarchies stay as they are.
 */
export function removeJobCgroup(
  job: JobCgroup,
  isShared: (change: CgroupChange) => boolean = () => false,
): string[] {
  const keys = new Set(job.changes.map(({ hierarchy }) => hierarchy));
  return [...keys].flatMap((key) => {
    const changes = job.changes.filter(({ hierarchy }) => hierarchy === key);
    const own = job.directories.find(({ hierarchy }) => hierarchy.key === key)?.path;
    if (own !== undefined) {
      // The earlier cgroup of a job that was migrated goes first: its processes are the job's too.
      const inUse = formerPaths(changes, key, own).find((path) => !removeDirectory(job.fs, path));
      if (inUse !== undefined) return [inUse];
    }
    return (
      undoAll(
        job.fs,
        changes.filter((change) => !isShared(change)),
        own,
      ) ?? []
    );
  });
}

/** Undoes changes in the reverse order. Stops at the first that cannot be undone and returns its cgroup. */
function undoAll(fs: CgroupFs, changes: readonly CgroupChange[], own?: string): string | undefined {
  const base = changes.find(({ kind }) => kind === "cgroup-created");
  const beside = base?.kind === "cgroup-created" ? dirname(base.path) : undefined;
  for (const change of changes.toReversed()) {
    const left = undo(fs, change, own, beside);
    if (left !== undefined) return left;
  }
  return undefined;
}

/** `beside`: the directory that the job's cgroup was in. Returns the cgroup that could not be restored. */
function undo(
  fs: CgroupFs,
  change: CgroupChange,
  own: string | undefined,
  beside: string | undefined,
): string | undefined {
  switch (change.kind) {
    case "cgroup-created":
      if (change.role === "tenant") removeIfEmpty(fs, change.path);
      else if (!removeDirectory(fs, change.path)) return change.path;
      return undefined;
    case "controller-enabled":
      // Jobs of other state directories rely on it too, and only their names show that they are jobs.
      if (change.path === beside && childrenOf(fs, beside).some((child) => child.startsWith(CGROUP_PREFIX)))
        return undefined;
      disableController(fs, change.path, change.controller, own);
      return undefined;
    case "file-written":
      return restoreFile(fs, change) === undefined ? undefined : dirname(change.path);
    case "processes-moved":
      return undefined;
  }
}

/** Removes the cgroups that a job had before it was migrated, once they are empty. Returns whether all are gone. */
export function removeFormerDirectories(job: JobCgroup): boolean {
  for (const directory of job.directories) {
    const { formerly, hierarchy } = directory;
    if (formerly === undefined) continue;
    if (!removeDirectory(job.fs, formerly)) return false;
    if (dirname(formerly) !== directory.origin) removeIfEmpty(job.fs, dirname(formerly));
    delete directory.formerly;
    job.changes = job.changes.filter(
      (change) => !isOfFormer(change, hierarchy.key, formerly, directory.tenant),
    );
  }
  return true;
}

function isOfFormer(
  change: CgroupChange,
  hierarchy: string,
  formerly: string,
  tenant: string | undefined,
): boolean {
  if (change.hierarchy !== hierarchy) return false;
  if (change.kind === "processes-moved") return change.to === formerly;
  if (change.kind !== "cgroup-created") return false;
  return change.path === formerly || (change.path === dirname(formerly) && change.path !== tenant);
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
  // Read before anything below is removed: a living workload keeps the empty cgroups that it made for itself.
  if (isOccupied(fs, path)) return false;
  try {
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

/** A cgroup that cannot be read counts as occupied. */
function isOccupied(fs: CgroupFs, path: string): boolean {
  try {
    return listOccupants(fs, path).length > 0;
  } catch {
    return true;
  }
}

/**
 * Lets processes return to the cgroup above a job's. A cgroup takes none while it gives memory or io to others. The job's
 * limits go away with the controllers.
 */
export function openOrigin({ fs, changes }: JobCgroup, { origin }: JobDirectory): void {
  for (const change of changes) {
    if (change.kind !== "controller-enabled" || change.path !== origin) continue;
    try {
      fs.write(`${origin}/cgroup.subtree_control`, `-${change.controller}`);
    } catch {
      // The move will report it.
    }
  }
}
