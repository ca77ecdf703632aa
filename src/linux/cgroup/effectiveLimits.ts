import { formatLimit, isAsTight, type Limits, tightest } from "../../limits/limits.ts";
import { CGROUP_LIMITS, type CgroupLimitName, isInherited, LIMITS } from "../../limits/table.ts";
import { controllersOf } from "./backends.ts";
import { constrainingCgroups } from "./constraints.ts";
import type { CgroupController } from "./controller.ts";
import type { CgroupDirectory } from "./file.ts";
import { ancestorsOf, directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import { asDirectory, carriedBy, type JobCgroup, type JobDirectory, withHolder } from "./jobCgroup.ts";

/** Reads the limits that one cgroup sets itself; an absent field is no limit. Weights are always there. */
export function readOwnLimits(
  controllers: readonly CgroupController[],
  directory: CgroupDirectory,
  names: readonly CgroupLimitName[] = CGROUP_LIMITS,
): Limits {
  const values = controllers.flatMap(({ limits }) =>
    names.flatMap((name) => {
      const value = limits[name]?.read(directory);
      return value === undefined ? [] : [[LIMITS[name].field, value]];
    }),
  );
  return Object.fromEntries(values);
}

/**
 * Reads the limits of the processes in a cgroup: the tightest of its own and of those above that apply below too. Levels
 * above the mount point cannot be seen.
 */
export function readEffectiveLimits(
  controllers: readonly CgroupController[],
  directory: CgroupDirectory,
  names: readonly CgroupLimitName[] = CGROUP_LIMITS,
): Limits {
  const { hierarchy } = directory;
  const inherited = names.filter((name) => isInherited(name, hierarchy.version));
  let effective = readOwnLimits(controllers, directory, names);
  for (const path of ancestorsOf(hierarchy, directory.path)) {
    const ancestor = { ...directory, path };
    const binding = controllers.filter((controller) => controller.bindsChildren?.(ancestor) ?? true);
    effective = tightest(effective, readOwnLimits(binding, ancestor, inherited));
  }
  return effective;
}

/** Reads the limits that apply to the processes of a job, those of cgroups above included. */
export function readLimitsOn({ fs, directories }: JobCgroup, names: readonly CgroupLimitName[]): Limits {
  const read = directories.map((each) => readEffectiveLimits(each.controllers, { ...each, fs }, names));
  return Object.assign({}, ...read);
}

/**
 * Reads the limits that apply to the processes of a job whatever ffrtmp writes to its cgroup: those of the cgroups above, and in
 * place those of the owner.
 */
export function readLimitsAbove(job: JobCgroup, names: readonly CgroupLimitName[]): Limits {
  const read = job.directories.map((each) => {
    const directory = asDirectory(job, each);
    return names
      .flatMap((name) => constrainingCgroups(directory, name).map((above) => ({ name, above })))
      .map(({ name, above }) => readOwnLimits(each.controllers, above, [name]))
      .reduce(tightest, {});
  });
  return Object.assign({}, ...read);
}

/** Reads the limits that a process has in hierarchies where it is in no cgroup of a job. */
export function readLimitsBeside(
  { fs, directories }: JobCgroup,
  hierarchies: readonly Hierarchy[],
  membership: Membership,
  names: readonly CgroupLimitName[],
): Limits {
  const others = hierarchies.filter(({ key }) => directories.every(({ hierarchy }) => hierarchy.key !== key));
  const read = others.map((hierarchy) => {
    const path = directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
    // A weight of that cgroup is its owner's, and no limit on the process.
    const inherited = names.filter((name) => isInherited(name, hierarchy.version));
    return path && readEffectiveLimits(controllersOf(hierarchy), { fs, hierarchy, path }, inherited);
  });
  return Object.assign({}, ...read);
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

/** Lists the wanted limits that neither the job's own cgroup nor one above it has now. */
export function listLimitDrift({ fs, directories, changes }: JobCgroup, wanted: Limits): LimitDrift[] {
  // The weight of the CPU is carried, and no other one.
  const hasOwnersWeight = (limit: CgroupLimitName): boolean =>
    directories.some(
      ({ placedAs, carrier }) =>
        placedAs === "in-place" ||
        (limit !== "io.weight" && carrier && carriedBy(changes, carrier)["cpu.weight"] !== undefined),
    );
  const readAll = (read: typeof readOwnLimits, names: readonly CgroupLimitName[]): Limits =>
    Object.assign({}, ...directories.flatMap((each) => readEach(each, read, names)));
  const readEach = (
    each: JobDirectory,
    read: typeof readOwnLimits,
    names: readonly CgroupLimitName[],
  ): Limits[] =>
    each.carrier === undefined
      ? [read(each.controllers, { ...each, fs }, names)]
      : names.map((name) => read(each.controllers, { ...withHolder(each, name), fs }, [name]));
  const isLooser = (found: Limits, limit: CgroupLimitName): boolean => {
    const { field, compare } = LIMITS[limit];
    const value = wanted[field];
    if (value === undefined || isAsTight(limit, found, wanted)) return false;
    // In place or carried, a weight below the wanted one is the owner's: the wanted one would favour the workload.
    return !(hasOwnersWeight(limit) && compare.isAtMost?.(found[field], value));
  };
  // Usually the cgroup itself has what was written there. The cgroups above are read only where it does not.
  const asked = CGROUP_LIMITS.filter((limit) => formatLimit(wanted, limit) !== undefined);
  const own = readAll(readOwnLimits, asked);
  const missing = asked.filter((limit) => isLooser(own, limit));
  if (missing.length === 0) return [];
  const effective = readAll(readEffectiveLimits, missing);
  return missing
    .filter((limit) => isLooser(effective, limit))
    .map((limit) => ({
      limit,
      wanted: formatLimit(wanted, limit) as string,
      found: formatLimit(effective, limit) ?? "max",
      isControllerGone: !directories.some((each) => each.controllers.some(({ limits }) => limits[limit])),
    }));
}
