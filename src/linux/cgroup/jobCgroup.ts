import { dirname } from "node:path";
import { type CgroupLimitName, isWeight } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CarriedFiles, CgroupChange, CgroupRole, Change, FileWritten } from "../change.ts";
import type { CgroupController, Unavailable } from "./controller.ts";
import { type CgroupDirectory, readText } from "./file.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { listProcesses } from "./members.ts";
import type { PlacedAs } from "./placement.ts";

interface CountedBefore {
  /** In place: the counters from before the job began. Absent: unknown. */
  countedBefore?: Partial<Usage> | undefined;
  /** The counters of the tenant's cgroup from before this job was in it. Absent: unknown. */
  tenantCountedBefore?: Partial<Usage> | undefined;
}

/** The cgroup of one job in one hierarchy. */
export interface JobDirectory extends CountedBefore {
  hierarchy: Hierarchy;
  path: string;
  /** The cgroup that its processes came from and return to. `path` is in it, or in the tenant's cgroup there. */
  origin: string;
  placedAs: PlacedAs;
  /** The cgroup between `origin` and `path` that all jobs of the tenant share. */
  tenant?: string | undefined;
  /** v1: the cgroup around `path` that counts the thread which starts the workload too. */
  wrapperSlot?: string | undefined;
  /** v2: the cgroup around `path` with the limits of `origin`, where `path` is not below `origin`. */
  carrier?: string | undefined;
  /** The job's cgroup before it was migrated to this one, as long as it may not be empty. */
  formerly?: string | undefined;
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
export interface JobLocation extends CountedBefore {
  /** `Hierarchy.key`. */
  hierarchy: string;
  path: string;
  placedAs?: Exclude<PlacedAs, "child"> | undefined;
}

export function storeJobCgroup({ directories, changes }: JobCgroup) {
  const cgroup = directories.map(
    ({ hierarchy, path, placedAs, countedBefore, tenantCountedBefore }): JobLocation => ({
      hierarchy: hierarchy.key,
      path,
      placedAs: placedAs === "child" ? undefined : placedAs,
      countedBefore,
      tenantCountedBefore,
    }),
  );
  return { cgroup, changes: changes.map((change) => ({ ...change })) };
}

export function createdPaths(changes: readonly Change[], hierarchy: string, role: CgroupRole): string[] {
  const created = changes.filter((change) => change.kind === "cgroup-created");
  return created.filter((each) => each.role === role && each.hierarchy === hierarchy).map(({ path }) => path);
}

/** Returns the cgroups that a job had in a hierarchy before the one at `path`. */
export function formerPaths(changes: readonly Change[], hierarchy: string, path: string): string[] {
  return createdPaths(changes, hierarchy, "job").filter((created) => created !== path);
}

/** Returns where the processes of a job would be without it, in the hierarchy of one of its locations. */
export function originOf(changes: readonly Change[], { path }: JobLocation): string {
  for (const change of changes) {
    if (change.kind === "processes-moved" && change.to === path) return change.from;
  }
  return path;
}

const CARRIED_SHARES = ["cpu.weight", "cpu.idle"] as const;

/**
 * Returns the directory as a controller takes it: in place with the owner's values that ffrtmp replaced, and of a carrier
 * with the weight that it carries.
 */
export function asDirectory({ fs, changes }: JobCgroup, directory: JobDirectory): CgroupDirectory {
  const { hierarchy, path, placedAs, carrier } = directory;
  if (placedAs === "in-place") return { fs, hierarchy, path, replaced: writtenIn(changes, path) };
  const carried = path === carrier ? carriedBy(changes, path) : {};
  const replaced = CARRIED_SHARES.flatMap((name): FileWritten[] => {
    const before = carried[name];
    if (before === undefined) return [];
    const file = `${path}/${name}`;
    const after = readText(fs, file) ?? null;
    return [{ kind: "file-written", hierarchy: hierarchy.key, path: file, before, after }];
  });
  return {
    ...{ fs, hierarchy, path },
    // Its weight of disks is the default, and no owner's.
    ...(replaced.length > 0 && { replaced, replacedLimits: CARRIED_SHARES }),
  };
}

/** Returns the limits that a carrier has from the cgroup that the job's processes left. */
export function carriedBy(changes: readonly Change[], carrier: string): CarriedFiles {
  const created = changes.find((change) => change.kind === "cgroup-created" && change.path === carrier);
  return (created?.kind === "cgroup-created" && created.carried) || {};
}

/**
 * Returns a job's directory with the cgroup that has one of its limits. A weight divides what several cgroups compete for,
 * so the carrier has it, where there is one: the job's own cgroup is alone in it.
 */
export function withHolder(directory: JobDirectory, limit: CgroupLimitName): JobDirectory {
  const { carrier: path } = directory;
  return path !== undefined && isWeight(limit) ? { ...directory, path } : directory;
}

/** Returns the journal's writes to the files of one cgroup. */
export function writtenIn(changes: readonly Change[], path: string): FileWritten[] {
  return changes
    .filter((change) => change.kind === "file-written")
    .filter((each) => dirname(each.path) === path);
}

/** Returns the cgroups of a job's tenant, as a cgroup of their own. */
export function tenantCgroupOf(job: JobCgroup): JobCgroup {
  const directories = job.directories.flatMap(
    ({ formerly: _, tenant: path, tenantCountedBefore: countedBefore, ...directory }) =>
      path === undefined ? [] : [{ ...directory, path, countedBefore }],
  );
  return { ...job, directories };
}

/** Lists every process in the job's cgroup or in cgroups that the workload made below it. */
export function listMembers({ fs, directories }: JobCgroup): number[] {
  const [only, ...others] = directories;
  if (only !== undefined && only.formerly === undefined && others.length === 0)
    return listProcesses(fs, only.path);
  const paths = directories.flatMap(({ path, formerly = [] }) => [path, formerly].flat());
  return [...new Set(paths.flatMap((path) => listProcesses(fs, path)))].sort((a, b) => a - b);
}
