import { errnoOf } from "../host.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import { controllersOf } from "./controllers.ts";
import { restoreHeld } from "./heldBefore.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";
import { explain } from "./knob.ts";
import { listOccupants } from "./members.ts";
import {
  disableAbove,
  disableControllers,
  enableAbove,
  enableControllers,
  listDisabled,
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
        for (const { path, placedAs } of made) if (placedAs !== "in-place") job.fs.rmdir(path);
        throw error;
      }
      hinder(job, directory, `${explain(error)} making ${directory.path}`);
    }
  }
  job.directories = made.filter((directory) => directory.hierarchy.version === 1 || equip(job, directory));
}

function giveFromAbove(job: JobCgroup, directory: JobDirectory): void {
  const { enabled, refusals } = enableAbove(job.fs, directory.enabledAbove);
  directory.enabledAbove = enabled;
  job.hindrances.push(...refusals);
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

function makeDirectory(job: JobCgroup, { hierarchy, path, threaded, origin }: JobDirectory): void {
  const { fs } = job;
  try {
    fs.mkdir(path);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    // Left by a governor that died before its workload joined. Made anew, so that no old limit stays in it;
    // but first every hierarchy is looked at: the workload may have joined another one.
    for (const directory of job.directories) refuseOccupied(fs, directory.path);
    removeTree(fs, path);
    fs.mkdir(path);
  }
  try {
    if (threaded) fs.write(`${path}/cgroup.type`, "threaded");
    // Those that nobody asked for too: a cpuset that shares the hierarchy lets nothing in until it is prepared.
    for (const controller of controllersOf(hierarchy)) {
      controller.prepare?.({ fs, hierarchy, path }, { fs, hierarchy, path: origin });
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
  const { path, placedAs } = directory;
  if (placedAs === "in-place") return keepGiven(job, directory);
  const parent = parentOf(path);
  job.hindrances.push(...enableControllers(fs, parent, directory.enabled));
  const off = listDisabled(
    fs,
    parent,
    directory.controllers.map(({ name }) => name),
  );
  directory.enabled = directory.enabled.filter((name) => !off.includes(name));
  directory.controllers = directory.controllers.filter(({ name }) => !off.includes(name));
  // Processes that came to the origin after the plan was made: with a controller on, no process may be below them.
  if (readType(fs, path) !== "domain invalid") return true;
  hinder(
    job,
    directory,
    `${parent} has got processes of its own, and a cgroup among them can hold no others`,
  );
  fs.rmdir(path);
  disableControllers(fs, parent, directory.enabled);
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
  return true;
}

function hinder(job: JobCgroup, { controllers }: JobDirectory, because: string): void {
  job.hindrances.push(...controllers.map(({ name }) => ({ controller: name, because })));
}

/**
 * Removes the directories, and those that the workload made below them and left empty; puts back what was changed in
 * place. Returns the paths that still hold processes or what we wrote.
 */
export function removeJobCgroup(job: JobCgroup): string[] {
  return job.directories.flatMap(({ path, placedAs, enabled, enabledAbove, heldBefore }) => {
    if (placedAs === "in-place") {
      if (restoreHeld(job.fs, path, heldBefore).length > 0) return [path];
    } else {
      if (!removeDirectory(job.fs, path)) return [path];
      disableControllers(job.fs, parentOf(path), enabled);
    }
    disableAbove(job.fs, enabledAbove);
    return [];
  });
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
