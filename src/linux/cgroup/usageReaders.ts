import { UNKNOWN_USAGE, type Usage } from "../../limits/usage.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { UsageReader, UsageReaders } from "./controller.ts";
import { readWords } from "./file.ts";
import type { Hierarchy } from "./hierarchies.ts";
import type { JobLocation } from "./jobCgroup.ts";
import { usageV1 } from "./v1/usage.ts";
import { readPressure } from "./v2/pressure.ts";
import { usageV2 } from "./v2/usage.ts";

/**
 * Reads what the cgroups of one job have counted: the same as `readUsage` for cgroups that contain nothing else, without the
 * code that plans and applies limits.
 */
export function readOwnUsage(
  fs: CgroupFs,
  cgroups: readonly Pick<JobLocation, "hierarchy" | "path">[],
): Usage {
  return joinUsage(
    cgroups.map(({ hierarchy, path }) => {
      const read = readersOf(fs, hierarchy, path).map((reader) => reader({ fs, path }));
      return Object.assign({}, ...read);
    }),
  );
}

/** The key of a hierarchy of v1 names its controllers. */
function readersOf(fs: CgroupFs, hierarchy: Hierarchy["key"], path: string): UsageReader[] {
  const named = (readers: UsageReaders, names: readonly string[]): UsageReader[] =>
    names.flatMap((name) => (Object.hasOwn(readers, name) ? (readers[name] as UsageReader) : []));
  if (hierarchy !== KEY_OF_V2) return named(usageV1, hierarchy.split(","));
  const given = readWords(fs, `${path}/cgroup.controllers`);
  return [
    ...ALWAYS_V2,
    ...named(
      usageV2,
      given.filter((name) => name !== "cpu"),
    ),
  ];
}

const KEY_OF_V2 = "";

/** cpu.stat and the pressure files are in every cgroup of v2, whatever controllers it has. */
const ALWAYS_V2: readonly UsageReader[] = [usageV2.cpu, readPressure];

/** Joins what the cgroups of one job have counted. Where two count the same, the later one counts, also if it is unknown. */
export function joinUsage(counted: readonly Partial<Usage>[]): Usage {
  const usage = { ...UNKNOWN_USAGE };
  for (const each of counted) {
    for (const field of Object.keys(each) as (keyof Usage)[]) usage[field] = each[field] ?? null;
  }
  return usage;
}
