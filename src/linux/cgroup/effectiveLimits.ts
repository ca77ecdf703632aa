import type { Limits } from "../../limits/limits.ts";
import { formatLimit, isAsTight, pickLimits, tightest } from "../../limits/limits.ts";
import { CGROUP_LIMITS, type CgroupLimitName, isInherited, LIMITS } from "../../limits/table.ts";
import type { CgroupController } from "./controller.ts";
import type { CgroupDirectory } from "./file.ts";
import { ancestorsOf } from "./hierarchies.ts";
import type { JobCgroup } from "./jobCgroup.ts";

/** The limits that one cgroup sets itself; an absent field is no limit. Weights are always there. */
export function readOwnLimits(controllers: readonly CgroupController[], directory: CgroupDirectory): Limits {
  return Object.assign({}, ...controllers.map((controller) => controller.read(directory)));
}

/**
 * What holds a process in a cgroup: the tightest over the way up, of those limits that hold for what is below.
 * Levels above what is mounted here cannot be seen.
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

/** A limit that was applied and does not apply any more. */
export interface LimitDrift {
  limit: CgroupLimitName;
  wanted: string;
  /** The limit that applies instead, in the form of `wanted`; `max` where there is none. */
  found: string;
  /** The job's cgroup has lost the controller itself: no value was overwritten. */
  isControllerGone: boolean;
}

/** Those of the wanted limits that neither the job's own cgroup nor one above it has now. */
export function listLimitDrift(job: JobCgroup, wanted: Limits): LimitDrift[] {
  // As a rule the cgroup itself has what was written there. The cgroups above are read only where it does not.
  const isLooser =
    (found: Limits) =>
    (limit: CgroupLimitName): boolean =>
      formatLimit(wanted, limit) !== undefined &&
      !isAsTight(limit, found, wanted) &&
      !isOwnersLower(job, limit, found, wanted);
  const missing = CGROUP_LIMITS.filter(isLooser(readAll(job, CGROUP_LIMITS, wanted, readOwnLimits)));
  if (missing.length === 0) return [];
  const effective = readAll(job, missing, wanted, readEffectiveLimits);
  return missing.filter(isLooser(effective)).map((limit) => ({
    limit,
    wanted: formatLimit(wanted, limit) as string,
    found: formatLimit(effective, limit) ?? "max",
    isControllerGone: !job.directories.some(({ controllers }) => controllers.some(({ plan }) => plan[limit])),
  }));
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
      controllers.filter(({ plan }) => asked.some((limit) => plan[limit])),
      { fs, hierarchy, path },
    ),
  );
  return Object.assign({}, ...parts);
}

/** In place, a weight below the wanted one is the owner's and stays: the wanted one would favour the workload. */
function isOwnersLower(
  { directories }: JobCgroup,
  limit: CgroupLimitName,
  found: Limits,
  wanted: Limits,
): boolean {
  const { field, compare } = LIMITS[limit];
  const value = wanted[field];
  const isInPlace = directories.some(({ placedAs }) => placedAs === "in-place");
  return isInPlace && value !== undefined && compare.isAtMost?.(found[field], value) === true;
}
