import { errnoOf } from "../host.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import { controllersOf } from "./controllers.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";
import { explain } from "./knob.ts";
import { listOccupants } from "./members.ts";
import { disableControllers, enableControllers, listDisabled, readType } from "./subtreeControl.ts";

/**
 * Makes the directories. What cannot be made becomes a hindrance, and the rest goes on.
 * Throws only a `GroupInUse`, when a directory of that name holds processes already; nothing is made then.
 */
export function createJobCgroup(job: JobCgroup): void {
  const made: JobDirectory[] = [];
  for (const directory of job.directories) {
    try {
      makeDirectory(job, directory);
      made.push(directory);
    } catch (error) {
      if (error instanceof GroupInUse) {
        for (const { path } of made) job.fs.rmdir(path);
        throw error;
      }
      hinder(job, directory, `${explain(error)} making ${directory.path}`);
    }
  }
  job.directories = made.filter((directory) => directory.hierarchy.version === 1 || equip(job, directory));
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

function makeDirectory(job: JobCgroup, { hierarchy, path, origin, threaded }: JobDirectory): void {
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
  const { origin, path } = directory;
  job.hindrances.push(...enableControllers(fs, origin, directory.enabled));
  const off = listDisabled(
    fs,
    origin,
    directory.controllers.map(({ name }) => name),
  );
  directory.enabled = directory.enabled.filter((name) => !off.includes(name));
  directory.controllers = directory.controllers.filter(({ name }) => !off.includes(name));
  // Processes that came to the origin after the plan was made: with a controller on, no process may be below them.
  if (readType(fs, path) !== "domain invalid") return true;
  hinder(
    job,
    directory,
    `${origin} has got processes of its own, and a cgroup among them can hold no others`,
  );
  fs.rmdir(path);
  disableControllers(fs, origin, directory.enabled);
  return false;
}

function hinder(job: JobCgroup, { controllers }: JobDirectory, because: string): void {
  job.hindrances.push(...controllers.map(({ name }) => ({ controller: name, because })));
}

/**
 * Removes the directories, and those that the workload made below them and left empty.
 * Returns the paths that still hold processes.
 */
export function removeJobCgroup(job: JobCgroup): string[] {
  return job.directories.flatMap(({ path, origin, enabled }) => {
    if (!removeDirectory(job.fs, path)) return [path];
    disableControllers(job.fs, origin, enabled);
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
