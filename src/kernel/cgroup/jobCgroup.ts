import { CGROUP_LIMITS, type LimitOutcome, type Limits, wantedText } from "../limits.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import { type CgroupController, type CgroupDirectory, UNKNOWN_USAGE, type Usage } from "./controller.ts";
import { V2_ALWAYS_MEASURES } from "./controllers.ts";
import type { HeldBefore } from "./heldBefore.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { explain } from "./knob.ts";
import { listProcesses } from "./members.ts";
import type { PlacedAs } from "./placement.ts";

/** The cgroup of one job in one hierarchy. */
export interface JobDirectory {
  hierarchy: Hierarchy;
  path: string;
  /** Where its processes came from, and where they go back to. */
  origin: string;
  placedAs: PlacedAs;
  /** v2: the controllers to switch on for it in the directory that it lies in; they were off when the job was planned. */
  enabled: string[];
  /** v2: the same for the directories above that one, from the top down. */
  enabledAbove: EnabledAbove[];
  /** v2: it lies among the processes of `origin`, and can limit only what threads can share. */
  threaded: boolean;
  /** In place: what its files held before. */
  heldBefore: HeldBefore[];
  /** Controllers usable in this directory. */
  controllers: CgroupController[];
}

export interface EnabledAbove {
  path: string;
  controllers: string[];
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

export function asDirectory(
  { fs }: JobCgroup,
  { hierarchy, path, placedAs, heldBefore }: JobDirectory,
): CgroupDirectory {
  return { fs, hierarchy, path, ...(placedAs === "in-place" ? { ownersHeld: heldBefore } : {}) };
}
