import { dirname } from "node:path";
import type { CgroupFs } from "../cgroupFs.ts";
import { type CgroupRole, type Change, isCgroupChange } from "../change.ts";
import { backendOf } from "./backends.ts";
import type { Hierarchy } from "./hierarchies.ts";
import {
  createdPaths,
  formerPaths,
  type JobCgroup,
  type JobDirectory,
  type JobLocation,
  originOf,
} from "./jobCgroup.ts";

/** Finds the cgroup of a job by its record. Directories that are gone or no longer mounted are left out. */
export function findJobCgroup(
  fs: CgroupFs,
  hierarchies: readonly Hierarchy[],
  record: { cgroup: readonly JobLocation[]; changes: readonly Change[] },
): JobCgroup {
  const changes = record.changes.filter(isCgroupChange).map((change) => ({ ...change }));
  const directories = record.cgroup.flatMap((stored): JobDirectory[] => {
    const { hierarchy: key, placedAs = "child", path, ...counted } = stored;
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    if (!hierarchy) return [];
    const around = (role: CgroupRole): string | undefined =>
      createdPaths(changes, key, role).find((created) => created === dirname(path));
    const [formerly] = formerPaths(changes, key, path);
    const found = { path, tenant: around("tenant"), wrapperSlot: around("wrapper-slot"), formerly };
    if (!Object.values(found).some((each) => each !== undefined && fs.exists(each))) return [];
    const controllers = backendOf(hierarchy).usableControllers(fs, hierarchy, path);
    return [{ ...counted, ...found, hierarchy, placedAs, origin: originOf(changes, stored), controllers }];
  });
  return { fs, directories, changes, unavailable: [] };
}
