import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { CGROUP_LIMITS, type CgroupLimitName, wantedText } from "../../limits/table.ts";
import { addUsage, UNKNOWN_USAGE, type Usage, usageSince } from "../../limits/usage.ts";
import { describeErrno } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { ApplyLimit, CgroupController, CgroupDirectory, LiftLimit } from "./controller.ts";
import { V2_ALWAYS_MEASURES } from "./controllers.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { listProcesses } from "./members.ts";
import type { PlacedAs } from "./placement.ts";
import { restoreValues, type SavedValue } from "./savedValues.ts";

/** The cgroup of one job in one hierarchy. */
export interface JobDirectory {
  hierarchy: Hierarchy;
  path: string;
  /** Where its processes came from, and where they go back to. It lies there, or in the tenant's group there. */
  origin: string;
  placedAs: PlacedAs;
  /** The group between `origin` and `path` that holds the tenant's jobs together. */
  tenant?: string;
  /** What that group had counted of other jobs before this one was in it. Absent: nobody knows. */
  tenantCountedBefore?: Partial<Usage>;
  /** v1: the group around `path` that counts the thread which starts the workload, too. */
  launchGroup?: string;
  /** The job's directory before it was regrouped, as long as something of the job may be left in it. */
  formerly?: string;
  /** v2: the controllers to switch on for it in its base; they were off when the job was planned. */
  enabled: string[];
  /** v2: the same for the directories above that one, from the top down. */
  enabledAbove: EnabledAbove[];
  /** v2: it lies among the processes of `origin`, and can limit only what threads can share. */
  threaded: boolean;
  /** In place: what its files held before. */
  heldBefore: SavedValue[];
  /** In place: what it had counted before the job began. Absent: nobody knows. */
  countedBefore?: Partial<Usage>;
  /** Controllers usable in this directory. */
  controllers: CgroupController[];
}

export interface EnabledAbove {
  path: string;
  controllers: string[];
}

/** Why a controller cannot be used for a job. */
export interface Unavailable {
  controller: string;
  because: string;
}

/** The cgroup of one job, in every hierarchy that has something to limit or to measure. */
export interface JobCgroup {
  fs: CgroupFs;
  directories: JobDirectory[];
  unavailable: Unavailable[];
}

/** Moves the calling thread, and so the children it will have, in. Only v1: on v2 a child is born into its cgroup. */
export function joinThread(job: JobCgroup): Unavailable[] {
  return moveThread(job, ({ path }) => path);
}

export function leaveThread(job: JobCgroup): Unavailable[] {
  return moveThread(job, ({ origin }) => origin);
}

function moveThread(job: JobCgroup, target: (directory: JobDirectory) => string): Unavailable[] {
  return job.directories.flatMap((directory) =>
    directory.hierarchy.version === 2 ? [] : moveOwnThread(job, directory, target(directory)),
  );
}

/** v1 only. */
export function moveOwnThread({ fs }: JobCgroup, { controllers }: JobDirectory, path: string): Unavailable[] {
  const file = `${path}/tasks`;
  try {
    // "0" is the writing thread itself. Moving no other thread, the kernel needs no grace period: 0.08 ms instead of 7.
    fs.write(file, "0");
    return [];
  } catch (error) {
    const because = `${describeErrno(error)} writing "0" to ${file}`;
    return controllers.map(({ name }) => ({ controller: name, because }));
  }
}

/** Applies every cgroup limit that was asked for. The outcomes are in the order of CGROUP_LIMITS. */
export function applyCgroupLimits(job: JobCgroup, limits: Limits): LimitOutcome[] {
  return CGROUP_LIMITS.flatMap((limit) => applyOne(job, limits, limit));
}

function applyOne(job: JobCgroup, limits: Limits, limit: CgroupLimitName): LimitOutcome[] {
  const wanted = wantedText(limits, limit);
  if (wanted === undefined) return [];
  const place = findPlace(job, limit);
  if (!place) return [{ limit, outcome: "unsupported", wanted, because: whyMissing(job, limit) }];
  return [place.apply(asDirectory(job, place.directory), limits)];
}

/** Applies the total of a tenant's jobs to the group that they are in. */
export function applyTenantLimits(job: JobCgroup, limits: Limits): LimitOutcome[] {
  const group = tenantCgroupOf(job);
  return CGROUP_LIMITS.flatMap((limit): LimitOutcome[] => {
    const wanted = wantedText(limits, limit);
    const because = group.directories.length === 0 ? NO_GROUP : whyNotSummed(group, limit);
    if (wanted !== undefined && because !== undefined) {
      return [{ limit, of: "tenant", outcome: "unsupported", wanted, because }];
    }
    return applyOne(group, limits, limit).map((outcome) => ({ ...outcome, of: "tenant" }));
  });
}

const NO_GROUP = "its cgroup was not placed in a group of its tenant: it is its owner's own, or a scope";

/** The group of a job's tenant, seen as a cgroup of its own. */
export function tenantCgroupOf({ fs, directories, unavailable }: JobCgroup): JobCgroup {
  const groups = directories.flatMap(({ formerly: _, tenant, tenantCountedBefore, ...directory }) =>
    tenant === undefined
      ? []
      : [{ ...directory, path: tenant, ...(tenantCountedBefore && { countedBefore: tenantCountedBefore }) }],
  );
  return { fs, directories: groups, unavailable };
}

/** Takes limits of ours away, so that only what holds above is left. Returns what the kernel refused. */
export function liftCgroupLimits(job: JobCgroup, limits: readonly CgroupLimitName[]): string[] {
  return limits.flatMap((limit) => {
    const place = findPlace(job, limit);
    if (place?.directory.placedAs === "in-place") {
      const { path, heldBefore } = place.directory;
      return restoreValues(
        job.fs,
        path,
        heldBefore.filter(({ file }) => file === limit),
      );
    }
    const write = place?.lift(asDirectory(job, place.directory));
    return write !== undefined && "refusal" in write ? [write.refusal] : [];
  });
}

interface LimitPlace {
  directory: JobDirectory;
  controller: CgroupController;
  apply: ApplyLimit;
  lift: LiftLimit;
}

function findPlace(job: JobCgroup, limit: CgroupLimitName): LimitPlace | undefined {
  for (const directory of job.directories) {
    for (const controller of directory.controllers) {
      const { apply, lift } = controller;
      if (apply[limit] && lift[limit])
        return { directory, controller, apply: apply[limit], lift: lift[limit] };
    }
  }
  return undefined;
}

function whyNotSummed(group: JobCgroup, limit: CgroupLimitName): string | undefined {
  const place = findPlace(group, limit);
  // A weight needs no inheriting: the group competes with it as one.
  if (!place || limit === "cpu.weight" || place.controller.inherited.includes(limit)) return undefined;
  return `cgroup v${place.directory.hierarchy.version} does not add up ${limit} of several cgroups`;
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
  const unavailable = job.unavailable.find(({ controller }) => names.includes(controller));
  return unavailable?.because ?? `no cgroup controller for it is mounted (${names.join(" or ")})`;
}

/**
 * Remembers what a cgroup had counted that is not the job's alone, once: its owner's when the job begins in it, and the group
 * of its tenant. To be called before limits are written: what happens from then on happens under them. Returns whether
 * there was anything to remember.
 */
export function rememberCounted(job: JobCgroup, { isFirst = true } = {}): boolean {
  let isNew = false;
  for (const directory of job.directories) {
    const { placedAs, countedBefore, tenant, tenantCountedBefore } = directory;
    if (placedAs === "in-place" && countedBefore === undefined && isFirst) {
      directory.countedBefore = readCounted(job, directory);
      isNew = true;
    }
    if (tenant !== undefined && tenantCountedBefore === undefined) {
      directory.tenantCountedBefore = readCounted(job, { ...directory, path: tenant });
      isNew = true;
    }
  }
  return isNew;
}

/** What the job has used since it began. */
export function readUsage(job: JobCgroup): Usage {
  const usage = readUsageOf(job, job.directories);
  const former = readFormerUsage(job);
  return former === undefined ? usage : addUsage(usage, former);
}

/** What it used in the directories that it had before it was regrouped; `undefined` when there are none. */
export function readFormerUsage(job: JobCgroup): Usage | undefined {
  const former = job.directories.flatMap(({ formerly, ...directory }) =>
    formerly === undefined ? [] : [{ ...directory, path: formerly }],
  );
  return former.length === 0 ? undefined : readUsageOf(job, former);
}

function readUsageOf(job: JobCgroup, directories: JobDirectory[]): Usage {
  const usage = { ...UNKNOWN_USAGE };
  for (const directory of directories) {
    const counted = readCounted(job, directory);
    const { placedAs, countedBefore } = directory;
    const isShared = placedAs === "in-place" || countedBefore !== undefined;
    Object.assign(usage, isShared ? sinceBegin(directory, counted) : counted);
  }
  return usage;
}

/** Everything that a cgroup has counted since it was made. */
function readCounted(job: JobCgroup, directory: JobDirectory): Partial<Usage> {
  const counted: Partial<Usage> = {};
  for (const controller of measuringControllers(directory)) {
    Object.assign(counted, controller.usage(asDirectory(job, directory)));
  }
  return counted;
}

/** A job that an earlier ffrtmp began in place has nothing to compare with: what it used is not known. */
function sinceBegin({ countedBefore }: JobDirectory, counted: Partial<Usage>): Partial<Usage> {
  if (countedBefore === undefined) return {};
  const since = usageSince({ ...UNKNOWN_USAGE, ...countedBefore }, { ...UNKNOWN_USAGE, ...counted });
  const fields = Object.keys(counted) as (keyof Usage)[];
  return Object.fromEntries(fields.map((field) => [field, since[field]]));
}

function measuringControllers({
  hierarchy,
  controllers,
}: JobDirectory): Iterable<Pick<CgroupController, "usage">> {
  return hierarchy.version === 2 ? new Set([...V2_ALWAYS_MEASURES, ...controllers]) : controllers;
}

/** Every process in the job's cgroup or in cgroups that the workload made below it. */
export function listMembers(job: JobCgroup): number[] {
  const paths = job.directories.flatMap(({ path, formerly }) => [path, formerly ?? []].flat());
  const members = new Set(paths.flatMap((path) => listProcesses(job.fs, path)));
  return [...members].sort((a, b) => a - b);
}

function asDirectory(
  { fs }: JobCgroup,
  { hierarchy, path, placedAs, heldBefore }: JobDirectory,
): CgroupDirectory {
  return { fs, hierarchy, path, ...(placedAs === "in-place" ? { ownersHeld: heldBefore } : {}) };
}
