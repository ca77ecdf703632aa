import { UNKNOWN_USAGE, type Usage } from "../../limits/usage.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { UsageReader, UsageReaders } from "./controller.ts";
import { readWords } from "./file.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { usageV1 } from "./v1/usage.ts";
import { readPressure } from "./v2/pressure.ts";
import { usageV2 } from "./v2/usage.ts";

/** A cgroup of a job that contains nothing else. */
export interface OwnCgroup {
  readonly hierarchy: Pick<Hierarchy, "version" | "controllers">;
  readonly path: string;
}

/**
 * Reads what the cgroups of one job have counted. The same as `readUsage` for a job that has only cgroups of its own, without
 * the code that plans and applies limits.
 */
export function readOwnUsage(fs: CgroupFs, cgroups: readonly OwnCgroup[]): Usage {
  return joinUsage(
    cgroups.map(({ hierarchy, path }) => {
      const read = readersOf(fs, hierarchy, path).map((reader) => reader({ fs, path }));
      return Object.assign({}, ...read);
    }),
  );
}

function readersOf(
  fs: CgroupFs,
  { version, controllers }: OwnCgroup["hierarchy"],
  path: string,
): UsageReader[] {
  const named = (readers: UsageReaders, names: readonly string[]): UsageReader[] =>
    names.flatMap((name) => readers[name] ?? []);
  if (version === 1) return named(usageV1, controllers);
  const given = readWords(fs, `${path}/cgroup.controllers`);
  const names = controllers.filter((name) => given.includes(name));
  return [
    ...ALWAYS_V2,
    ...named(
      usageV2,
      names.filter((name) => name !== "cpu"),
    ),
  ];
}

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
