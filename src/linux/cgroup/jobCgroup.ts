import { dirname } from "node:path";
import type { Usage } from "../../limits/usage.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CgroupChange, Change, FileWritten } from "../change.ts";
import type { CgroupController, Unavailable } from "./controller.ts";
import type { CgroupDirectory } from "./file.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { listProcesses } from "./members.ts";
import type { PlacedAs } from "./placement.ts";

/** The cgroup of one job in one hierarchy. */
export interface JobDirectory {
  hierarchy: Hierarchy;
  path: string;
  /** The cgroup that its processes came from and return to. `path` is in it, or in the tenant's cgroup there. */
  origin: string;
  placedAs: PlacedAs;
  /** The cgroup between `origin` and `path` that all jobs of the tenant share. */
  tenant?: string;
  /** The counters of that cgroup from before this job was in it. Absent: unknown. */
  tenantCountedBefore?: Partial<Usage>;
  /** v1: the cgroup around `path` that counts the thread which starts the workload too. */
  wrapperSlot?: string;
  /** The job's cgroup before it was migrated to this one, as long as it may not be empty. */
  formerly?: string;
  /** v2: it is among the processes of `origin`, and can limit only what threads can share. */
  threaded: boolean;
  /** In place: the counters from before the job began. Absent: unknown. */
  countedBefore?: Partial<Usage>;
  /** The controllers that work in this directory. */
  controllers: CgroupController[];
}

/** The cgroup of one job, in every hierarchy that limits or measures it, with the changes that make it. */
export interface JobCgroup {
  fs: CgroupFs;
  directories: JobDirectory[];
  /** In the order in which they are made. */
  changes: CgroupChange[];
  unavailable: Unavailable[];
}

/** Where a job's cgroup is: JSON in the ledger. Together with the job's changes it is enough to find the cgroup again. */
export interface JobLocation {
  /** `Hierarchy.key`. */
  hierarchy: string;
  path: string;
  placedAs?: Exclude<PlacedAs, "child">;
  countedBefore?: Partial<Usage>;
  tenantCountedBefore?: Partial<Usage>;
}

export function storeJobCgroup({ directories, changes }: JobCgroup): {
  cgroup: JobLocation[];
  changes: CgroupChange[];
} {
  const cgroup = directories.map(({ hierarchy, path, placedAs, countedBefore, tenantCountedBefore }) => ({
    hierarchy: hierarchy.key,
    path,
    ...(placedAs === "child" ? {} : { placedAs }),
    ...(countedBefore === undefined ? {} : { countedBefore }),
    ...(tenantCountedBefore === undefined ? {} : { tenantCountedBefore }),
  }));
  return { cgroup, changes: structuredClone(changes) };
}

/** The cgroups that a job had in a hierarchy before the one at `path`. */
export function formerPaths(changes: readonly Change[], hierarchy: string, path: string): string[] {
  return changes.flatMap((change) =>
    change.kind === "cgroup-created" &&
    change.role === "job" &&
    change.hierarchy === hierarchy &&
    change.path !== path
      ? [change.path]
      : [],
  );
}

/** Where the processes of a job would be without it, in the hierarchy of one of its locations. */
export function originOf(changes: readonly Change[], { path }: JobLocation): string {
  for (const change of changes) {
    if (change.kind === "processes-moved" && change.to === path) return change.from;
  }
  return path;
}

/** The directory as a controller takes it. In place, the owner's values that ffrtmp replaced belong to it. */
export function asDirectory(
  { fs, changes }: Pick<JobCgroup, "fs" | "changes">,
  directory: JobDirectory,
): CgroupDirectory {
  const { hierarchy, path, placedAs } = directory;
  if (placedAs !== "in-place") return { fs, hierarchy, path };
  return { fs, hierarchy, path, replaced: writtenIn(changes, path) };
}

/** The journal's writes to the files of one cgroup. */
export function writtenIn(changes: readonly Change[], path: string): FileWritten[] {
  return changes.filter(
    (change): change is FileWritten => change.kind === "file-written" && dirname(change.path) === path,
  );
}

/** The cgroups of a job's tenant, as a cgroup of their own. */
export function tenantCgroupOf({ fs, directories, changes, unavailable }: JobCgroup): JobCgroup {
  const groups = directories.flatMap(({ formerly: _, tenant, tenantCountedBefore, ...directory }) =>
    tenant === undefined
      ? []
      : [{ ...directory, path: tenant, ...(tenantCountedBefore && { countedBefore: tenantCountedBefore }) }],
  );
  return { fs, directories: groups, changes, unavailable };
}

/** Every process in the job's cgroup or in cgroups that the workload made below it. */
export function listMembers(job: JobCgroup): number[] {
  const paths = job.directories.flatMap(({ path, formerly }) => [path, formerly ?? []].flat());
  const members = new Set(paths.flatMap((path) => listProcesses(job.fs, path)));
  return [...members].sort((a, b) => a - b);
}
