import {
  CGROUP_LIMITS,
  type CgroupLimitName,
  IO_RATES,
  type IoMax,
  type Limits,
  wantedText,
} from "../../limits/limits.ts";
import type { CgroupController, CgroupDirectory } from "./controller.ts";
import { parseCpuList } from "./cpuList.ts";
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

/** Those of the limits that are named. */
export function pickLimits(limits: Limits, names: readonly CgroupLimitName[]): Limits {
  return Object.fromEntries(
    names.flatMap((name) => {
      const field = FIELDS[name];
      return limits[field] === undefined ? [] : [[field, limits[field]]];
    }),
  );
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

/** The tighter of both for each limit; of weights, which have no order between cgroups, the first. */
export function tightest(a: Limits, b: Limits): Limits {
  const result: Limits = { ...b, ...a };
  if (a.cpuMax && b.cpuMax) result.cpuMax = coresOf(a) <= coresOf(b) ? a.cpuMax : b.cpuMax;
  for (const field of ["memoryHighBytes", "memoryMaxBytes", "pidsMax"] as const) {
    if (a[field] !== undefined && b[field] !== undefined) result[field] = Math.min(a[field], b[field]);
  }
  if (a.cpus !== undefined && b.cpus !== undefined) result.cpus = commonCpus(a.cpus, b.cpus);
  if (a.ioMax && b.ioMax) result.ioMax = tightestRates(a.ioMax, b.ioMax);
  return result;
}

/** Whether what is held keeps a process at least as tight as what is wanted. A weight has to be the wanted one. */
function isAsTight(limit: CgroupLimitName, held: Limits, wanted: Limits): boolean {
  switch (limit) {
    case "cpu.max":
      return coresOf(held) <= coresOf(wanted);
    case "cpu.weight":
      return held.cpuWeight === wanted.cpuWeight;
    case "memory.high":
      return isAtMost(held.memoryHighBytes, wanted.memoryHighBytes);
    case "memory.max":
      return isAtMost(held.memoryMaxBytes, wanted.memoryMaxBytes);
    case "pids.max":
      return isAtMost(held.pidsMax, wanted.pidsMax);
    case "cpuset.cpus": {
      const allowed = parseCpuList(wanted.cpus ?? "");
      return parseCpuList(held.cpus ?? "")?.every((cpu) => allowed?.includes(cpu)) ?? false;
    }
    case "io.max":
      return (wanted.ioMax ?? []).every((max) => {
        const line = held.ioMax?.find(({ device }) => device === max.device);
        return IO_RATES.every((rate) => isAtMost(toNumber(line?.[rate]), toNumber(max[rate])));
      });
  }
}

const FIELDS = {
  "cpu.max": "cpuMax",
  "cpu.weight": "cpuWeight",
  "memory.high": "memoryHighBytes",
  "memory.max": "memoryMaxBytes",
  "io.max": "ioMax",
  "pids.max": "pidsMax",
  "cpuset.cpus": "cpus",
} as const satisfies Record<CgroupLimitName, keyof Limits>;

function coresOf({ cpuMax }: Limits): number {
  if (!cpuMax || cpuMax.quotaUsec === "max") return Number.POSITIVE_INFINITY;
  return cpuMax.quotaUsec / cpuMax.periodUsec;
}

/** An absent number is no limit. */
function isAtMost(held = Number.POSITIVE_INFINITY, wanted = Number.POSITIVE_INFINITY): boolean {
  return held <= wanted;
}

function toNumber(rate: number | "max" | undefined): number | undefined {
  return rate === "max" ? undefined : rate;
}

/** Two lists with nothing in common leave no CPU, which no cgroup has: the first counts then. */
function commonCpus(a: string, b: string): string {
  const own = parseCpuList(a) ?? [];
  const others = parseCpuList(b) ?? [];
  const common = own.filter((cpu) => others.includes(cpu));
  return common.length === 0 || common.length === own.length ? a : common.join();
}

function tightestRates(a: IoMax[], b: IoMax[]): IoMax[] {
  const devices = new Set([...a, ...b].map(({ device }) => device));
  return [...devices].map((device) => {
    const lines = [...a, ...b].filter((line) => line.device === device);
    const rates = IO_RATES.flatMap((rate) => {
      const values = lines.map((line) => toNumber(line[rate])).filter((value) => value !== undefined);
      return values.length === 0 ? [] : [[rate, Math.min(...values)]];
    });
    return { device, ...Object.fromEntries(rates) };
  });
}
