import { errnoOf } from "../host.ts";
import { CGROUP_LIMITS, type LimitOutcome, type Limits, wantedText } from "../limits.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import { type CgroupController, type CgroupDirectory, UNKNOWN_USAGE, type Usage } from "./controller.ts";
import { controllersOf, V2_ALWAYS_MEASURES } from "./controllers.ts";
import { directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import { explain } from "./knob.ts";

/** The cgroup of one job in one hierarchy. */
export interface JobDirectory {
  hierarchy: Hierarchy;
  path: string;
  /** The directory it lies in: where its processes came from, and where they go back to. */
  origin: string;
  /** v2: the controllers that were switched on in `origin` for it. */
  enabled: string[];
  /** Controllers usable in this directory. */
  controllers: CgroupController[];
}

/** Why a controller cannot be used for a job. */
export interface Hindrance {
  controller: string;
  because: string;
}

/** The cgroup of one job, in every hierarchy that has something to limit or to measure. */
export interface JobCgroup {
  fs: CgroupFs;
  directories: JobDirectory[];
  hindrances: Hindrance[];
}

/**
 * Where a job's cgroup would lie: in each hierarchy a child of the cgroup that `membership` names,
 * so that every limit above still holds. Writes nothing.
 */
export function planJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  membership: Membership,
  name: string,
  limits: Limits,
): JobCgroup {
  const job: JobCgroup = { fs, directories: [], hindrances: [] };
  for (const hierarchy of hierarchies) {
    const wanted = controllersOf(hierarchy).filter(
      (controller) => controller.measures || isAskedFor(controller, limits),
    );
    if (wanted.length === 0) continue;
    const cgroupPath = membership.get(hierarchy.key);
    const origin = cgroupPath === undefined ? undefined : directoryOf(hierarchy, cgroupPath);
    if (origin === undefined) {
      const because = `its ${hierarchy.key || "v2"} cgroup ${cgroupPath ?? ""} is not visible below ${hierarchy.mountPoint}`;
      job.hindrances.push(...wanted.map(({ name }) => ({ controller: name, because })));
      continue;
    }
    const hindrances = wanted.flatMap((controller) => {
      const because = controller.hindrance?.({ fs, hierarchy, path: origin });
      return because === undefined ? [] : [{ controller: controller.name, because }];
    });
    job.hindrances.push(...hindrances);
    // Controllers that share one v1 hierarchy move together: what hinders one hinders all.
    if (hindrances.length > 0) continue;
    job.directories.push({
      hierarchy,
      path: `${origin}/${name}`,
      origin,
      enabled: [],
      controllers: wanted,
    });
  }
  return job;
}

/** What is enough to find a job's cgroup again: JSON in the ledger. */
export interface StoredDirectory {
  /** `Hierarchy.key`. */
  hierarchy: string;
  path: string;
  origin: string;
  enabled: string[];
}

export function storeJobCgroup(job: JobCgroup): StoredDirectory[] {
  return job.directories.map(({ hierarchy, path, origin, enabled }) => ({
    hierarchy: hierarchy.key,
    path,
    origin,
    enabled,
  }));
}

/** The job's cgroup as an earlier ffrtmp left it; directories that are gone, or no longer mounted, are left out. */
export function restoreJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  stored: StoredDirectory[],
): JobCgroup {
  const directories = stored.flatMap(({ hierarchy: key, path, origin, enabled }): JobDirectory[] => {
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    if (!hierarchy || !fs.exists(path)) return [];
    const usable = hierarchy.version === 1 ? undefined : readWords(fs, `${path}/cgroup.controllers`);
    const controllers = controllersOf(hierarchy).filter(({ name }) => usable?.includes(name) ?? true);
    return [{ hierarchy, path, origin, enabled, controllers }];
  });
  return { fs, directories, hindrances: [] };
}

/**
 * Makes the directories. What cannot be made becomes a hindrance, and the rest goes on.
 * Throws only a `GroupInUse`, when a directory of that name holds processes already.
 */
export function createJobCgroup(job: JobCgroup): void {
  job.directories = job.directories.filter((directory) => {
    const names = directory.controllers.map(({ name }) => name);
    try {
      makeDirectory(job.fs, directory);
      return true;
    } catch (error) {
      if (error instanceof GroupInUse) throw error;
      const because = `${explain(error)} making ${directory.path}`;
      job.hindrances.push(...names.map((controller) => ({ controller, because })));
      return false;
    }
  });
  for (const directory of job.directories) {
    if (directory.hierarchy.version === 2) enableControllers(job, directory);
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

function makeDirectory(fs: CgroupFs, directory: JobDirectory): void {
  try {
    fs.mkdir(directory.path);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    // Left by a governor that died before its workload joined. Made anew, so that no old limit stays in it.
    const pids = readPids(fs, directory.path);
    if (pids.length > 0) throw new GroupInUse(directory.path, pids);
    removeTree(fs, directory.path);
    fs.mkdir(directory.path);
  }
  try {
    const { hierarchy, path, origin } = directory;
    for (const controller of directory.controllers) {
      controller.prepare?.({ fs, hierarchy, path }, { fs, hierarchy, path: origin });
    }
  } catch (error) {
    fs.rmdir(directory.path);
    throw error;
  }
}

/** A v2 child has the files of a controller only after the parent has it in cgroup.subtree_control. */
function enableControllers(job: JobCgroup, directory: JobDirectory): void {
  const { fs } = job;
  const usable: CgroupController[] = [];
  for (const controller of directory.controllers) {
    const file = `${directory.origin}/cgroup.subtree_control`;
    try {
      if (!readWords(fs, file).includes(controller.name)) {
        fs.write(file, `+${controller.name}`);
        directory.enabled.push(controller.name);
      }
      usable.push(controller);
    } catch (error) {
      const because = `${explain(error)} writing "+${controller.name}" to ${file}`;
      job.hindrances.push({ controller: controller.name, because });
    }
  }
  directory.controllers = usable;
}

/** Moves the calling thread, and so the children it will have, in. Only v1: on v2 a child is born into its cgroup. */
export function joinThread(job: JobCgroup): Hindrance[] {
  return moveThread(job, ({ path }) => path);
}

export function leaveThread(job: JobCgroup): Hindrance[] {
  return moveThread(job, ({ origin }) => origin);
}

function moveThread(job: JobCgroup, target: (directory: JobDirectory) => string): Hindrance[] {
  return job.directories.flatMap((directory) => {
    if (directory.hierarchy.version === 2) return [];
    const file = `${target(directory)}/tasks`;
    try {
      // "0" is the writing thread itself. Moving no other thread, the kernel needs no grace period: 0.08 ms instead of 7.
      job.fs.write(file, "0");
      return [];
    } catch (error) {
      const because = `${explain(error)} writing "0" to ${file}`;
      return directory.controllers.map(({ name }) => ({ controller: name, because }));
    }
  });
}

/** Applies every cgroup limit that was asked for. The outcomes are in the order of CGROUP_LIMITS. */
export function applyCgroupLimits(job: JobCgroup, limits: Limits): LimitOutcome[] {
  return CGROUP_LIMITS.flatMap((limit): LimitOutcome[] => {
    const wanted = wantedText(limits, limit);
    if (wanted === undefined) return [];
    for (const directory of job.directories) {
      const apply = directory.controllers.find((controller) => controller.apply[limit])?.apply[limit];
      if (apply) return [apply(asDirectory(job, directory), limits)];
    }
    return [{ limit, outcome: "unsupported", wanted, because: whyMissing(job, limit) }];
  });
}

const CONTROLLERS_OF_LIMITS: Record<string, readonly string[]> = {
  "cpu.max": ["cpu"],
  "cpu.weight": ["cpu"],
  "memory.high": ["memory"],
  "memory.max": ["memory"],
  "io.max": ["io", "blkio"],
  "pids.max": ["pids"],
  "cpuset.cpus": ["cpuset"],
};

function whyMissing(job: JobCgroup, limit: string): string {
  const names = CONTROLLERS_OF_LIMITS[limit] ?? [];
  const hindrance = job.hindrances.find(({ controller }) => names.includes(controller));
  return hindrance?.because ?? `no cgroup controller for it is mounted (${names.join(" or ")})`;
}

/** What the job has used since its cgroup was made. */
export function readUsage(job: JobCgroup): Usage {
  const usage = { ...UNKNOWN_USAGE };
  for (const directory of job.directories) {
    for (const controller of measuringControllers(directory)) {
      Object.assign(usage, controller.usage(asDirectory(job, directory)));
    }
  }
  return usage;
}

function measuringControllers({ hierarchy, controllers }: JobDirectory): Iterable<CgroupController> {
  return hierarchy.version === 2 ? new Set([V2_ALWAYS_MEASURES, ...controllers]) : controllers;
}

/** Every process in the job's cgroup or in cgroups that the workload made below it. */
export function listMembers(job: JobCgroup): number[] {
  const members = new Set(job.directories.flatMap(({ path }) => readPids(job.fs, path)));
  return [...members].sort((a, b) => a - b);
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
  if (readPids(fs, path).length > 0) return false;
  try {
    removeTree(fs, path);
    return true;
  } catch (error) {
    return errnoOf(error) === "ENOENT";
  }
}

/** Only once nothing else lies there: another job, ours or not, may rely on what we switched on. */
function disableControllers(fs: CgroupFs, origin: string, enabled: string[]): void {
  if (enabled.length === 0 || fs.children(origin).length > 0) return;
  for (const name of enabled) {
    try {
      fs.write(`${origin}/cgroup.subtree_control`, `-${name}`);
    } catch {
      // Somebody made a child in between and uses the controller: it is theirs now.
    }
  }
}

function removeTree(fs: CgroupFs, path: string): void {
  for (const child of fs.children(path)) removeTree(fs, `${path}/${child}`);
  fs.rmdir(path);
}

function readPids(fs: CgroupFs, path: string): number[] {
  try {
    const own = fs.read(`${path}/cgroup.procs`).split("\n").filter(Boolean).map(Number);
    return [...own, ...fs.children(path).flatMap((child) => readPids(fs, `${path}/${child}`))];
  } catch {
    return [];
  }
}

function isAskedFor(controller: CgroupController, limits: Limits): boolean {
  return CGROUP_LIMITS.some((limit) => controller.apply[limit] && wantedText(limits, limit) !== undefined);
}

function asDirectory(job: JobCgroup, { hierarchy, path }: JobDirectory): CgroupDirectory {
  return { fs: job.fs, hierarchy, path };
}

function readWords(fs: CgroupFs, path: string): string[] {
  return fs.read(path).split(/\s+/).filter(Boolean);
}
