import type { LimitOutcome } from "../../limits/outcome.ts";
import { type CgroupLimitName, isInherited } from "../../limits/table.ts";
import { type CgroupDirectory, readText } from "./file.ts";
import { ancestorsOf } from "./hierarchies.ts";

/**
 * Returns the cgroups whose value of a limit applies to a cgroup already, nearest first: its ancestors for an inherited
 * limit, and before them the cgroup itself where it is its owner's, with the owner's values in place of those that ffrtmp
 * wrote.
 */
export function constrainingCgroups(directory: CgroupDirectory, limit: CgroupLimitName): CgroupDirectory[] {
  const { replaced, replacedLimits, fs, hierarchy } = directory;
  const ancestors = isInherited(limit, hierarchy.version) ? ancestorsOf(hierarchy, directory.path) : [];
  const above = ancestors.map((path) => ({ ...directory, path }));
  if (!replaced || replacedLimits?.includes(limit) === false) return above;
  const read = (path: string): string => {
    const written = replaced.find((each) => each.path === path);
    if (written === undefined) return fs.read(path);
    const current = readText(fs, path);
    // A value that differs from ours is newer than ours, and the owner's.
    return current === undefined || current === written.after ? (written.before ?? "") : current;
  };
  return [{ ...directory, fs: { ...fs, read } }, ...above];
}

/**
 * Returns the tightest value that applies already, up to the mount point. `read` returns the value of one cgroup, or
 * `undefined` where it sets no limit.
 */
export function tightestAbove(
  directory: CgroupDirectory,
  limit: CgroupLimitName,
  read: (cgroup: CgroupDirectory) => number | undefined,
): { value: number; path: string } | undefined {
  let tightest: { value: number; path: string } | undefined;
  for (const cgroup of constrainingCgroups(directory, limit)) {
    const value = read(cgroup);
    if (value !== undefined && (!tightest || value < tightest.value)) tightest = { value, path: cgroup.path };
  }
  return tightest;
}

/** Applied without a write: a limit above is as tight or tighter, so ours would change nothing. */
export function limitedByAncestor(
  limit: CgroupLimitName,
  wanted: string,
  actual: string,
  heldBy: string,
): LimitOutcome {
  const because = `not written: ${heldBy} already limits it to ${actual}`;
  return { limit, outcome: "applied", wanted, actual, because, heldBy };
}
