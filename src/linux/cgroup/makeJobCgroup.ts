import { dirname } from "node:path";
import type { Limits } from "../../limits/limits.ts";
import type { Usage } from "../../limits/usage.ts";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import { controllersOf } from "./controllers.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";
import { listOccupants } from "./members.ts";
import { isAskedFor } from "./planJobCgroup.ts";
import { restoreValues } from "./savedValues.ts";
import {
  disableAbove,
  disableControllers,
  enableAbove,
  enableControllers,
  listDisabled,
  listDisabledAbove,
  parentOf,
  readType,
  readWords,
} from "./subtreeControl.ts";

/**
 * Makes the directories. What cannot be made becomes a hindrance, and the rest goes on.
 * Throws only a `GroupInUse`, when a directory of that name holds processes already; nothing is made then.
 */
export function createJobCgroup(job: JobCgroup): void {
  const made: JobDirectory[] = [];
  for (const directory of job.directories) {
    try {
      giveFromAbove(job, directory);
      if (directory.placedAs !== "in-place") makeDirectory(job, directory);
      made.push(directory);
    } catch (error) {
      if (error instanceof GroupInUse) {
        for (const directory of made) removeOwn(job.fs, directory);
        throw error;
      }
      hinder(job, directory, `${describeErrno(error)} making ${directory.path}`);
    }
  }
  job.directories = made.filter((directory) => directory.hierarchy.version === 1 || equip(job, directory));
  for (const { hierarchy, path, controllers } of job.directories) {
    for (const controller of controllers) controller.settle?.({ fs: job.fs, hierarchy, path });
  }
}

function giveFromAbove(job: JobCgroup, directory: JobDirectory): void {
  const { enabled, refusals } = enableAbove(job.fs, directory.enabledAbove);
  directory.enabledAbove = enabled;
  job.unavailable.push(...refusals);
}

/**
 * Makes what a living job lacks: directories that are not there, and controllers that those which are there are to get.
 * What cannot be had becomes a hindrance.
 */
export function completeJobCgroup(job: JobCgroup): void {
  const isThere = ({ path, placedAs }: JobDirectory): boolean =>
    placedAs !== "in-place" && job.fs.exists(path);
  const there = job.directories.filter(isThere);
  const missing: JobCgroup = { ...job, directories: job.directories.filter((each) => !isThere(each)) };
  createJobCgroup(missing);
  for (const directory of there) {
    if (directory.hierarchy.version === 1) continue;
    giveFromAbove(job, directory);
    equip(job, directory);
  }
  job.directories = [...there, ...missing.directories];
}

/**
 * Switches on again what somebody has switched off that these limits need, and adds what there is to switch off later.
 * Returns what has begun to be counted anew by it.
 */
export function giveAgain({ fs, directories, unavailable }: JobCgroup, limits: Limits): (keyof Usage)[] {
  return directories.flatMap((directory) => {
    const { hierarchy, path, enabledAbove } = directory;
    if (hierarchy.version === 1) return [];
    const known = controllersOf(hierarchy);
    const asked = known.filter((controller) => isAskedFor(controller, limits)).map(({ name }) => name);
    const { enabled, refusals } = enableAbove(fs, listDisabledAbove(fs, hierarchy, path, asked));
    unavailable.push(...refusals);
    for (const level of enabled) {
      const noted =
        level.path === baseOf(directory) && directory.placedAs !== "in-place"
          ? directory.enabled
          : (enabledAbove.find((each) => each.path === level.path)?.controllers ??
            noteLevel(directory, level.path));
      noted.push(...level.controllers.filter((name) => !noted.includes(name)));
    }
    const given = readWords(fs, `${path}/cgroup.controllers`);
    const before = directory.controllers;
    directory.controllers = known.filter(({ name }) => given.includes(name));
    const regained = directory.controllers.filter((controller) => !before.includes(controller));
    return regained.flatMap(({ forgets = [] }) => forgets);
  });
}

/** Levels stay in their order, from the top down. */
function noteLevel({ enabledAbove }: JobDirectory, path: string): string[] {
  const controllers: string[] = [];
  enabledAbove.push({ path, controllers });
  enabledAbove.sort((a, b) => a.path.length - b.path.length);
  return controllers;
}

/**
 * Lets processes back into the cgroup above a job's, which takes none while it gives memory or io to others. With the
 * controllers the job's limits go.
 */
export function openOrigin({ fs }: JobCgroup, { origin, enabled }: JobDirectory): void {
  for (const name of enabled) {
    try {
      fs.write(`${origin}/cgroup.subtree_control`, `-${name}`);
    } catch {
      // The move will tell.
    }
  }
}

/** A cgroup of the wanted name exists and processes live in it. */
export class GroupInUse extends Error {
  readonly path: string;
  readonly pids: number[];

  constructor(path: string, pids: number[]) {
    super(`${path} holds processes already: ${pids.join(", ")}`);
    this.path = path;
    this.pids = pids;
  }
}

function makeDirectory(job: JobCgroup, directory: JobDirectory): void {
  const { fs } = job;
  const { path, origin, tenant, launchGroup } = directory;
  if (tenant !== undefined) {
    makeInTenant(job, directory, tenant);
    return;
  }
  if (launchGroup !== undefined) makeAnew(job, launchGroup);
  makeAnew(job, path);
  prepare(fs, directory, path, origin);
}

/** How often a tenant's group is made again that somebody removed, with his last job there, before ours was in it. */
const TENANT_TRIES = 10;

function makeInTenant(job: JobCgroup, directory: JobDirectory, tenant: string): void {
  const { fs } = job;
  for (let tries = 1; ; tries++) {
    try {
      if (makeIfMissing(fs, tenant)) prepare(fs, directory, tenant, directory.origin);
      makeAnew(job, directory.path);
      break;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || tries === TENANT_TRIES || !fs.exists(directory.origin)) throw error;
    }
  }
  try {
    prepare(fs, directory, directory.path, tenant);
  } catch (error) {
    removeTenantGroup(fs, tenant);
    throw error;
  }
}

function makeIfMissing(fs: CgroupFs, path: string): boolean {
  try {
    fs.mkdir(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

function makeAnew({ fs, directories }: JobCgroup, path: string): void {
  if (makeIfMissing(fs, path)) return;
  // Left by a governor that died before its workload joined. Made anew, so that no old limit stays in it;
  // but first every hierarchy is looked at: the workload may have joined another one.
  for (const { launchGroup, path } of directories) refuseOccupied(fs, launchGroup ?? path);
  removeTree(fs, path);
  fs.mkdir(path);
}

function prepare(fs: CgroupFs, { hierarchy, threaded }: JobDirectory, path: string, parent: string): void {
  try {
    if (threaded) fs.write(`${path}/cgroup.type`, "threaded");
    // Those that nobody asked for too: a cpuset that shares the hierarchy lets nothing in until it is prepared.
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
  if (occupants.length > 0) throw new GroupInUse(path, occupants);
}

/**
 * A v2 child has the files of a controller only after the parent has it in cgroup.subtree_control.
 * False when nothing could join the child afterwards; all is as before then.
 */
function equip(job: JobCgroup, directory: JobDirectory): boolean {
  const { fs } = job;
  const { path, placedAs, tenant } = directory;
  if (placedAs === "in-place") return keepGiven(job, directory);
  const base = baseOf(directory);
  job.unavailable.push(...enableControllers(fs, base, directory.enabled));
  const names = directory.controllers.map(({ name }) => name);
  if (tenant !== undefined) {
    // Of the group that is ours nobody has to remember what was on.
    const notGiven = listDisabled(fs, base, names);
    const given = names.filter((name) => !notGiven.includes(name));
    job.unavailable.push(...enableControllers(fs, tenant, listDisabled(fs, tenant, given)));
  }
  const off = listDisabled(fs, tenant ?? base, names);
  directory.enabled = directory.enabled.filter((name) => !off.includes(name));
  directory.controllers = directory.controllers.filter(({ name }) => !off.includes(name));
  // Processes that came to the origin after the plan was made: with a controller on, no process may be below them.
  if (readType(fs, path) !== "domain invalid") return true;
  hinder(job, directory, `${base} has got processes of its own, and a cgroup among them can hold no others`);
  removeOwn(fs, directory);
  disableControllers(fs, base, directory.enabled, path);
  disableAbove(fs, directory.enabledAbove);
  return false;
}

/** In somebody else's cgroup there is what the levels above give. */
function keepGiven(job: JobCgroup, directory: JobDirectory): boolean {
  const given = readWords(job.fs, `${directory.path}/cgroup.controllers`);
  const missing = directory.controllers.filter(({ name }) => !given.includes(name));
  hinder(
    job,
    { ...directory, controllers: missing },
    `it is not among the controllers of ${directory.path} (cgroup.controllers): the cgroup above does not give it`,
  );
  directory.controllers = directory.controllers.filter(({ name }) => given.includes(name));
  if (cpusCouldNotGoBack(job.fs, directory)) {
    const isCpuset = ({ name }: { name: string }): boolean => name === "cpuset";
    const because = `${directory.path}/cpuset.cpus is empty, and the kernel empties it no more while processes are there`;
    hinder(job, { ...directory, controllers: directory.controllers.filter(isCpuset) }, because);
    directory.controllers = directory.controllers.filter((controller) => !isCpuset(controller));
  }
  return true;
}

/** A list that was empty goes back only with its controller, if that is ours to switch off again. */
function cpusCouldNotGoBack(fs: CgroupFs, { path, enabledAbove }: JobDirectory): boolean {
  const isOurs = enabledAbove.some(
    (each) => each.path === parentOf(path) && each.controllers.includes("cpuset"),
  );
  return !isOurs && fs.exists(`${path}/cpuset.cpus`) && fs.read(`${path}/cpuset.cpus`).trim() === "";
}

function hinder(job: JobCgroup, { controllers }: JobDirectory, because: string): void {
  job.unavailable.push(...controllers.map(({ name }) => ({ controller: name, because })));
}

/**
 * Removes the directories, and those that the workload made below them and left empty; puts back what was changed in
 * place. Returns the paths that still hold processes or what we wrote.
 */
export function removeJobCgroup(job: JobCgroup): string[] {
  return job.directories.flatMap((directory) => {
    const { path, placedAs, origin, tenant, launchGroup, formerly } = directory;
    const { enabled, enabledAbove, heldBefore } = directory;
    if (placedAs === "in-place") {
      if (restoreValues(job.fs, path, heldBefore).length > 0) return [path];
    } else {
      if (formerly !== undefined && !removeFormer(job.fs, formerly, origin)) return [formerly];
      if (!removeDirectory(job.fs, path)) return [path];
      if (launchGroup !== undefined && !removeDirectory(job.fs, launchGroup)) return [launchGroup];
      if (tenant !== undefined) removeTenantGroup(job.fs, tenant);
      disableControllers(job.fs, baseOf(directory), enabled, path);
    }
    disableAbove(job.fs, enabledAbove, path);
    return [];
  });
}

/** Removes the directory that a job had before it was regrouped. Returns whether it is gone. */
export function removeFormer(fs: CgroupFs, formerly: string, origin: string): boolean {
  if (!removeDirectory(fs, formerly)) return false;
  const parent = dirname(formerly);
  if (parent !== origin) removeTenantGroup(fs, parent);
  return true;
}

/** The directory that a job's lies in, or its tenant's group does. */
function baseOf({ path, placedAs, origin }: JobDirectory): string {
  return placedAs === "child" ? origin : parentOf(path);
}

/** A directory that was just made, with the tenant's group where nobody else is in that. */
function removeOwn(fs: CgroupFs, { path, placedAs, tenant, launchGroup }: JobDirectory): void {
  if (placedAs === "in-place") return;
  fs.rmdir(path);
  if (launchGroup !== undefined) fs.rmdir(launchGroup);
  if (tenant !== undefined) removeTenantGroup(fs, tenant);
}

/** Only the last job takes it along: the kernel refuses while there is another. */
function removeTenantGroup(fs: CgroupFs, path: string): void {
  try {
    fs.rmdir(path);
  } catch {
    // In use, or gone with somebody else's last job.
  }
}

function removeDirectory(fs: CgroupFs, path: string): boolean {
  try {
    fs.rmdir(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return true;
  }
  // Looked at before anything below is touched: an empty cgroup that a living workload made for itself stays its own.
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

/** What cannot be looked into counts as occupied. */
function isOccupied(fs: CgroupFs, path: string): boolean {
  try {
    return listOccupants(fs, path).length > 0;
  } catch {
    return true;
  }
}
