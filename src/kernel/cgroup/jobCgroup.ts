import { errnoOf } from "../host.ts";
import { CGROUP_LIMITS, type LimitOutcome, type Limits, wantedText } from "../limits.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import { type CgroupController, type CgroupDirectory, UNKNOWN_USAGE, type Usage } from "./controller.ts";
import { controllersOf, V2_ALWAYS_MEASURES } from "./controllers.ts";
import { directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import { explain } from "./knob.ts";
import { listOccupants, listProcesses } from "./members.ts";
import {
  disableControllers,
  enableControllers,
  isAmongProcesses,
  listDisabled,
  readType,
  readWords,
} from "./subtreeControl.ts";

/** The cgroup of one job in one hierarchy. */
export interface JobDirectory {
  hierarchy: Hierarchy;
  path: string;
  /** The directory it lies in: where its processes came from, and where they go back to. */
  origin: string;
  /** v2: the controllers to switch on in `origin` for it; they were off when the job was planned. */
  enabled: string[];
  /** v2: it lies among the processes of `origin`, and can limit only what threads can share. */
  threaded: boolean;
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
      const because =
        cgroupPath === undefined
          ? `it has no cgroup in the hierarchy at ${hierarchy.mountPoint}`
          : `its ${hierarchy.key || "v2"} cgroup ${cgroupPath} is not visible below ${hierarchy.mountPoint}`;
      job.hindrances.push(...wanted.map(({ name }) => ({ controller: name, because })));
      continue;
    }
    // Controllers that share one v1 hierarchy move together: what hinders one, wanted or not, hinders all.
    const because = controllersOf(hierarchy)
      .map((controller) => controller.hindrance?.({ fs, hierarchy, path: origin }))
      .find((reason) => reason !== undefined);
    if (because !== undefined) {
      job.hindrances.push(...wanted.map(({ name }) => ({ controller: name, because })));
      continue;
    }
    const threaded = hierarchy.version === 2 && isAmongProcesses(fs, origin);
    const usable = wanted.filter(({ dividesThreads }) => dividesThreads || !threaded);
    job.hindrances.push(
      ...wanted
        .filter((controller) => !usable.includes(controller))
        .map(({ name }) => ({
          controller: name,
          because: `${origin} holds processes, and among them cgroup v2 can limit cpu, cpuset and pids only`,
        })),
    );
    job.directories.push({
      hierarchy,
      path: `${origin}/${name}`,
      origin,
      enabled: hierarchy.version === 2 ? listDisabled(fs, origin, usable) : [],
      threaded,
      controllers: usable,
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
    const known = controllersOf(hierarchy);
    const usable = hierarchy.version === 1 ? undefined : readWords(fs, `${path}/cgroup.controllers`);
    const controllers = usable ? known.filter(({ name }) => usable.includes(name)) : known;
    return [
      {
        hierarchy,
        path,
        origin,
        enabled,
        threaded: hierarchy.version === 2 && readType(fs, path) === "threaded",
        controllers,
      },
    ];
  });
  return { fs, directories, hindrances: [] };
}

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
  const off = listDisabled(fs, origin, directory.controllers);
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
  const members = new Set(job.directories.flatMap(({ path }) => listProcesses(job.fs, path)));
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

function isAskedFor(controller: CgroupController, limits: Limits): boolean {
  return CGROUP_LIMITS.some((limit) => controller.apply[limit] && wantedText(limits, limit) !== undefined);
}

function asDirectory(job: JobCgroup, { hierarchy, path }: JobDirectory): CgroupDirectory {
  return { fs: job.fs, hierarchy, path };
}
