import type { LimitOutcome } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";
import { type CgroupDirectory, readText } from "./file.ts";
import { ancestorsOf } from "./hierarchies.ts";

/**
 * The cgroups whose limits apply to a cgroup already, nearest first: its ancestors, and before them the cgroup itself
 * where it is its owner's, with the owner's values in place of those that ffrtmp wrote.
 */
export function constrainingCgroups(directory: CgroupDirectory): CgroupDirectory[] {
  const above = ancestorsOf(directory.hierarchy, directory.path).map((path) => ({ ...directory, path }));
  const { replaced, fs } = directory;
  if (!replaced) return above;
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
 * The tightest value that applies already, up to the mount point.
 * `read` gives the value of one cgroup, or `undefined` where it sets no limit.
 */
export function tightestAbove(
  directory: CgroupDirectory,
  read: (ancestor: CgroupDirectory) => number | undefined,
): { value: number; path: string } | undefined {
  let tightest: { value: number; path: string } | undefined;
  for (const cgroup of constrainingCgroups(directory)) {
    const value = read(cgroup);
    if (value !== undefined && (!tightest || value < tightest.value)) tightest = { value, path: cgroup.path };
  }
  return tightest;
}

/** Applied without a write: a limit above is as tight or tighter, so ours would change nothing. */
export function limitedByAncestor(
  limit: LimitName,
  wanted: string,
  ancestor: { text: string; path: string },
): LimitOutcome {
  return {
    limit,
    outcome: "applied",
    wanted,
    actual: ancestor.text,
    because: `not written: ${ancestor.path} already holds it to ${ancestor.text}`,
    heldBy: ancestor.path,
  };
}
