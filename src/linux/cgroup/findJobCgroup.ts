import { dirname } from "node:path";
import type { CgroupFs } from "../cgroupFs.ts";
import { type CgroupRole, type Change, isCgroupChange } from "../change.ts";
import { backendOf } from "./backends.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { formerPaths, type JobCgroup, type JobDirectory, type JobLocation, originOf } from "./jobCgroup.ts";

/** Finds the cgroup of a job by its record. Directories that are gone or no longer mounted are left out. */
export function findJobCgroup(
  fs: CgroupFs,
  hierarchies: readonly Hierarchy[],
  record: { cgroup: readonly JobLocation[]; changes: readonly Change[] },
): JobCgroup {
  const changes = structuredClone(record.changes.filter(isCgroupChange));
  const directories = record.cgroup.flatMap((stored): JobDirectory[] => {
    const { hierarchy: key, placedAs = "child", ...location } = stored;
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    if (!hierarchy) return [];
    const { path } = location;
    const around = (role: CgroupRole): string | undefined =>
      changes.some(
        (change) => change.kind === "cgroup-created" && change.role === role && change.path === dirname(path),
      )
        ? dirname(path)
        : undefined;
    const tenant = around("tenant");
    const wrapperSlot = around("wrapper-slot");
    const [formerly] = formerPaths(changes, key, path);
    const isLeft = [path, tenant, wrapperSlot, formerly].some(
      (each) => each !== undefined && fs.exists(each),
    );
    if (!isLeft) return [];
    const backend = backendOf(hierarchy);
    return [
      {
        ...location,
        hierarchy,
        placedAs,
        origin: originOf(changes, stored),
        threaded: placedAs === "child" && backend.isThreaded(fs, path),
        controllers: backend.usableControllers(fs, hierarchy, path),
        ...(tenant === undefined ? {} : { tenant }),
        ...(wrapperSlot === undefined ? {} : { wrapperSlot }),
        ...(formerly === undefined ? {} : { formerly }),
      },
    ];
  });
  return { fs, directories, changes, unavailable: [] };
}
