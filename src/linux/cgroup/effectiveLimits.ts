import { formatLimit, isAsTight, type Limits, pickLimits, tightest } from "../../limits/limits.ts";
import { CGROUP_LIMITS, type CgroupLimitName, isInherited, LIMITS } from "../../limits/table.ts";
import type { CgroupController, CgroupDirectory } from "./controller.ts";
import { ancestorsOf } from "./hierarchies.ts";
import type { JobCgroup } from "./jobCgroup.ts";

/** Returns the limits that one cgroup sets itself. An absent field is no limit. Weights are always present. */
export function readOwnLimits(controllers: readonly CgroupController[], directory: CgroupDirectory): Limits {
  return Object.assign({}, ...controllers.map((controller) => controller.read(directory)));
}

/**
 * Returns the limits in force in a cgroup: the tightest of its own and of the inherited ones of all cgroups above.
 * Levels above the mount point are not visible.
 */
export function readEffectiveLimits(
  controllers: readonly CgroupController[],
  directory: CgroupDirectory,
): Limits {
  let effective = readOwnLimits(controllers, directory);
  for (const path of ancestorsOf(directory.hierarchy, directory.path)) {
    effective = tightest(effective, readInherited(controllers, { ...directory, path }));
  }
  return effective;
}

function readInherited(controllers: readonly CgroupController[], ancestor: CgroupDirectory): Limits {
  const binding = controllers.filter((controller) => controller.bindsChildren?.(ancestor) ?? true);
  const limits = readOwnLimits(binding, ancestor);
  const names = CGROUP_LIMITS.filter((name) => isInherited(name, ancestor.hierarchy.version));
  return pickLimits(limits, names);
}

/** A limit that was applied and is no longer in force, with the limit that is. */
export interface LapsedLimit {
  limit: CgroupLimitName;
  wanted: string;
  /** As `wanted`; `max` without any limit. */
  found: string;
  /** The job's cgroup has lost the controller, so the value itself was not overwritten. */
  isControllerGone: boolean;
}

/** Returns the wanted limits that neither the job's own cgroup nor one above it has in force now. */
export function listLapsed(job: JobCgroup, wanted: Limits): LapsedLimit[] {
  // Usually the job's own cgroup has the value that was written. Only otherwise the cgroups above are read.
  const isLooser =
    (held: Limits) =>
    (limit: CgroupLimitName): boolean =>
      formatLimit(wanted, limit) !== undefined &&
      !isAsTight(limit, held, wanted) &&
      !isOwnersLower(job, limit, held, wanted);
  const missing = CGROUP_LIMITS.filter(isLooser(readAll(job, CGROUP_LIMITS, wanted, readOwnLimits)));
  if (missing.length === 0) return [];
  const effective = readAll(job, missing, wanted, readEffectiveLimits);
  return missing.filter(isLooser(effective)).map((limit) => ({
    limit,
    wanted: formatLimit(wanted, limit) as string,
    found: formatLimit(effective, limit) ?? "max",
    isControllerGone: isControllerGone(job, limit),
  }));
}

function isControllerGone({ directories }: JobCgroup, limit: CgroupLimitName): boolean {
  return !directories.some(({ controllers }) => controllers.some(({ apply }) => apply[limit]));
}

function readAll(
  { fs, directories }: JobCgroup,
  limits: readonly CgroupLimitName[],
  wanted: Limits,
  read: typeof readOwnLimits,
): Limits {
  const asked = limits.filter((limit) => formatLimit(wanted, limit) !== undefined);
  const parts = directories.map(({ hierarchy, path, controllers }) =>
    read(
      controllers.filter(({ apply }) => asked.some((limit) => apply[limit])),
      { fs, hierarchy, path },
    ),
  );
  return Object.assign({}, ...parts);
}

/** In place, a weight below the wanted one is the owner's and stays: the wanted one would favour the workload. */
function isOwnersLower({ directories }: JobCgroup, limit: CgroupLimitName, held: Limits, wanted: Limits) {
  const { field, compare } = LIMITS[limit];
  const value = wanted[field];
  const isInPlace = directories.some(({ placedAs }) => placedAs === "in-place");
  return isInPlace && value !== undefined && compare.isAtMost?.(held[field], value) === true;
}
