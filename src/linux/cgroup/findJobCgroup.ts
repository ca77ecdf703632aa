import { basename, dirname } from "node:path";
import type { CgroupFs } from "../cgroupFs.ts";
import { type CgroupChange, type CgroupRole, type Change, isCgroupChange } from "../change.ts";
import { backendOf } from "./backends.ts";
import { CGROUP_PREFIX } from "./cgroupChanges.ts";
import type { Hierarchy } from "./hierarchies.ts";
import {
  createdPaths,
  formerPaths,
  type JobCgroup,
  type JobDirectory,
  type JobLocation,
  originOf,
} from "./jobCgroup.ts";
import { isLimitFile } from "./ownerFiles.ts";

/** The part of a job's record that names cgroups. */
interface CgroupRecord {
  cgroup: readonly JobLocation[];
  changes: readonly Change[];
}

/**
 * Finds the cgroup of a job by its record. Directories that are gone or no longer mounted are left out, and so is all of a
 * record that is not usable.
 */
export function findJobCgroup(
  fs: CgroupFs,
  hierarchies: readonly Hierarchy[],
  record: CgroupRecord,
): JobCgroup {
  const none: JobCgroup = { fs, directories: [], changes: [], unavailable: [] };
  const isChecked = isEqualCheck(checked.get(record.changes), { fs, hierarchies, cgroup: record.cgroup });
  if (!isChecked && !hasSafePaths(fs, hierarchies, record)) return none;
  const hierarchyOf = ({ hierarchy: key }: { hierarchy: string }) =>
    hierarchies.find((candidate) => candidate.key === key);
  const changes = record.changes.filter(isCgroupChange).filter(hierarchyOf);
  const directories = record.cgroup.flatMap((stored): JobDirectory[] => {
    const { hierarchy: key, placedAs = "child", path, ...counted } = stored;
    const hierarchy = hierarchyOf(stored);
    if (!hierarchy) return [];
    const around = (role: CgroupRole): string | undefined =>
      createdPaths(changes, key, role).find((created) => created === dirname(path));
    const [formerly] = formerPaths(changes, key, path);
    const found = {
      path,
      tenant: around("tenant"),
      wrapperSlot: around("wrapper-slot"),
      carrier: around("carrier"),
      formerly,
    };
    if (!Object.values(found).some((each) => each !== undefined && fs.exists(each))) return [];
    const controllers = backendOf(hierarchy).usableControllers(fs, hierarchy, path);
    return [{ ...counted, ...found, hierarchy, placedAs, origin: originOf(changes, stored), controllers }];
  });
  if (directories.length === record.cgroup.length)
    checked.set(record.changes, { fs, hierarchies, cgroup: record.cgroup });
  return { ...none, directories, changes: changes.map((change) => ({ ...change })) };
}

interface Check {
  fs: CgroupFs;
  hierarchies: readonly Hierarchy[];
  cgroup: readonly JobLocation[];
}

/**
 * The records in memory whose paths were safe, with what they were checked against. `watch` finds the cgroup of each job every few
 * seconds, and the checks take more than half of that. The kernel makes no symbolic link in a cgroup tree, so what was safe stays so.
 */
const checked = new WeakMap<readonly Change[], Check>();

function isEqualCheck(earlier: Check | undefined, { fs, hierarchies, cgroup }: Check): boolean {
  return earlier?.fs === fs && earlier.hierarchies === hierarchies && earlier.cgroup === cgroup;
}

/** Returns whether all paths of a record are cgroups, or files of them, and lead nowhere else. */
function hasSafePaths(fs: CgroupFs, hierarchies: readonly Hierarchy[], record: CgroupRecord): boolean {
  if (whyUnusable(hierarchies, record) !== undefined) return false;
  const changes = record.changes
    .filter(isCgroupChange)
    .filter((each) => hierarchies.some(({ key }) => key === each.hierarchy));
  const isFile = (each: JobLocation | CgroupChange): boolean =>
    "kind" in each && each.kind === "file-written";
  const pathsIn = (records: readonly (JobLocation | CgroupChange)[]): string[] =>
    records.flatMap((each) => Object.values(pathsOf(each)).flat());
  const all = [...record.cgroup, ...changes];
  if ([...new Set(pathsIn(all))].some((path) => leadsElsewhere(fs, path))) return false;
  // No file of a cgroup has the name of a cgroup of ffrtmp, so most paths need not be read.
  const others = pathsIn(all.filter((each) => !isFile(each))).filter(
    (path) => !basename(path).startsWith(CGROUP_PREFIX),
  );
  return !others.some((path) => fs.isFile(path));
}

/**
 * Returns why a recorded cgroup must not be acted on; `undefined` for a usable record. The record is a file, and what it
 * names is written to, removed and created with the rights of this process. So each path must be a cgroup below the mount
 * point of its hierarchy, a cgroup that ffrtmp created has a name of ffrtmp, and a file is one of the limit table. A
 * hierarchy that is not mounted has no cgroups to act on.
 */
export function whyUnusable(
  hierarchies: readonly Hierarchy[],
  { cgroup, changes }: CgroupRecord,
): string | undefined {
  for (const each of [...cgroup, ...changes.filter(isCgroupChange)]) {
    const hierarchy = hierarchies.find(({ key }) => key === each.hierarchy);
    if (hierarchy === undefined) continue;
    const { mountPoint } = hierarchy;
    const { below, above } = pathsOf(each);
    const outside =
      below.find((path) => !isBelow(mountPoint, path)) ??
      above.find((path) => path !== mountPoint && !isBelow(mountPoint, path));
    if (outside !== undefined) return `${outside} is no cgroup below ${mountPoint}`;
    const strange = "kind" in each ? strangeName(each) : undefined;
    if (strange !== undefined) return strange;
  }
  return undefined;
}

/** `above`: paths that can also be the mount point. */
function pathsOf(record: JobLocation | CgroupChange): { below: string[]; above: string[] } {
  if (!("kind" in record)) return { below: [record.path], above: [] };
  if (record.kind === "processes-moved") return { below: [record.to], above: [record.from] };
  return record.kind === "controller-enabled"
    ? { below: [], above: [record.path] }
    : { below: [record.path], above: [] };
}

function strangeName(change: CgroupChange): string | undefined {
  if (change.kind === "processes-moved") return undefined;
  const name = basename(change.path);
  if (change.kind === "cgroup-created" && !name.startsWith(CGROUP_PREFIX))
    return `${change.path} has no name that ffrtmp gives to a cgroup`;
  if (change.kind === "file-written" && !isLimitFile(name)) return `${change.path} is no file of a limit`;
  if (change.kind === "controller-enabled" && !/^[a-z_]+$/.test(change.controller))
    return `${JSON.stringify(change.controller)} is no controller`;
  return undefined;
}

/** Returns whether a path is inside of a mount point, without detours. */
function isBelow(mountPoint: string, path: string): boolean {
  if (!path.startsWith(`${mountPoint}/`) || path.includes("\0")) return false;
  const parts = path.slice(mountPoint.length + 1).split("/");
  return !parts.some((part) => part === "" || part === "." || part === "..");
}

/** Returns whether a path leads through a symbolic link. The kernel lets no program make one in a cgroup tree. */
function leadsElsewhere(fs: CgroupFs, path: string): boolean {
  for (let existing = path; existing !== "/"; existing = dirname(existing)) {
    try {
      return fs.realPath(existing) !== existing;
    } catch {
      // It is gone: the cgroup above decides.
    }
  }
  return false;
}
