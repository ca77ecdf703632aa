import { isAsTight, pickLimits, tightest } from "../../limits/compare.ts";
import type { Limits } from "../../limits/limits.ts";
import { CGROUP_LIMITS, type CgroupLimitName, wantedText } from "../../limits/table.ts";
import type { CgroupController, CgroupDirectory } from "./controller.ts";
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
  const names = binding.flatMap(({ inherited }) => inherited);
  return pickLimits(limits, names);
}

/** A limit that was put in force and is not any more, with what holds instead. */
export interface LapsedLimit {
  limit: CgroupLimitName;
  wanted: string;
  /** As `wanted`; `max` where nothing holds it. */
  found: string;
  /** The job's cgroup has lost the controller itself: nobody wrote another value. */
  isControllerGone: boolean;
}

/** Those of the wanted limits that neither the job's own cgroup nor one above it holds now. */
export function listLapsed(job: JobCgroup, wanted: Limits): LapsedLimit[] {
  // The cgroup itself holds what was written there, as a rule, and only where it does not the way up is read.
  const isLooser =
    (held: Limits) =>
    (limit: CgroupLimitName): boolean =>
      wantedText(wanted, limit) !== undefined &&
      !(isAsTight(limit, held, wanted) || (limit === "cpu.weight" && isOwnersLower(job, held, wanted)));
  const missing = CGROUP_LIMITS.filter(isLooser(readAll(job, CGROUP_LIMITS, wanted, readOwnLimits)));
  if (missing.length === 0) return [];
  const effective = readAll(job, missing, wanted, readEffectiveLimits);
  return missing.filter(isLooser(effective)).map((limit) => ({
    limit,
    wanted: wantedText(wanted, limit) as string,
    found: wantedText(effective, limit) ?? "max",
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
  const asked = limits.filter((limit) => wantedText(wanted, limit) !== undefined);
  const parts = directories.map(({ hierarchy, path, controllers }) =>
    read(
      controllers.filter(({ apply }) => asked.some((limit) => apply[limit])),
      { fs, hierarchy, path },
    ),
  );
  return Object.assign({}, ...parts);
}

/** What a cgroup has when nobody sets it, and about what its processes come to where the controller is off. */
const DEFAULT_WEIGHT = 100;

/** In place a weight below the wanted one is the owner's, and left as it is: the wanted one would favour the workload. */
function isOwnersLower({ directories }: JobCgroup, held: Limits, wanted: Limits): boolean {
  const isInPlace = directories.some(({ placedAs }) => placedAs === "in-place");
  return isInPlace && (held.cpuWeight ?? DEFAULT_WEIGHT) <= (wanted.cpuWeight ?? 0);
}
