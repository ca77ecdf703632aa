import type { CgroupFs } from "../cgroupFs.ts";
import { directoryOf, type Hierarchy } from "./hierarchies.ts";

/**
 * Returns whether root, or the user of this process, owns a cgroup's directory. The owner of a delegated subtree chooses
 * the names in it, so that only the names of such directories are facts. False where there is no directory.
 */
export function isOwnedByUs(fs: CgroupFs, directory: string): boolean {
  const owner = fs.owner(directory);
  return owner === 0 || (owner !== undefined && owner === process.geteuid?.());
}

/** Returns whether a directory exists and belongs to another user, who has made it and can change what is in it. */
export function isForeign(fs: CgroupFs, directory: string): boolean {
  return fs.owner(directory) !== undefined && !isOwnedByUs(fs, directory);
}

/**
 * Returns whether root, or the user of this process, made a cgroup: its directory and the one above it are theirs. Another
 * user cannot give a directory away, but could rename one in a directory of his own (cgroup v1). `undefined` where the
 * cgroup is not visible here: outside of the mount, of the cgroup namespace, or in no hierarchy that is mounted.
 */
export function isMadeByUs(
  fs: CgroupFs,
  hierarchy: Hierarchy | undefined,
  cgroupPath: string,
): boolean | undefined {
  const directory = hierarchy && directoryOf(hierarchy, cgroupPath);
  if (hierarchy === undefined || directory === undefined) return undefined;
  if (!isOwnedByUs(fs, directory)) return false;
  // Above the mount point there is no cgroup.
  return (
    directory === hierarchy.mountPoint || isOwnedByUs(fs, directory.slice(0, directory.lastIndexOf("/")))
  );
}

/**
 * Returns whether root, or the user of this process, chose the name of a cgroup: the directory above it is theirs. The cgroup
 * itself can be another user's, to whom it was given. `undefined` where it is not visible here, as in `isMadeByUs`.
 */
export function isNamedByUs(
  fs: CgroupFs,
  hierarchy: Hierarchy | undefined,
  cgroupPath: string,
): boolean | undefined {
  const directory = hierarchy && directoryOf(hierarchy, cgroupPath);
  if (hierarchy === undefined || directory === undefined || directory === hierarchy.mountPoint)
    return undefined;
  return isOwnedByUs(fs, directory.slice(0, directory.lastIndexOf("/")));
}
