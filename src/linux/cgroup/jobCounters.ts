import { type Counters, type Details, UNKNOWN_COUNTERS, UNKNOWN_DETAILS } from "../../limits/counters.ts";
import { backendOf } from "./backends.ts";
import type { CgroupController } from "./controller.ts";
import type { CgroupDirectory } from "./file.ts";
import { asDirectory, type JobCgroup } from "./jobCgroup.ts";

/** Reads the present counters of a job's cgroup, or of its tenant's, from the hierarchies that count them. */
export function readJobCounters(job: JobCgroup): Counters {
  return merge(job, UNKNOWN_COUNTERS, (controller, cgroup) => controller.counters?.(cgroup));
}

export function readJobDetails(job: JobCgroup): Details {
  return merge(job, UNKNOWN_DETAILS, (controller, cgroup) => controller.details?.(cgroup));
}

function merge<T extends Record<string, number | null>>(
  job: JobCgroup,
  unknown: T,
  read: (
    controller: Pick<CgroupController, "counters" | "details">,
    cgroup: CgroupDirectory,
  ) => Partial<T> | undefined,
): T {
  const merged = { ...unknown };
  for (const directory of job.directories) {
    const controllers = new Set([...backendOf(directory.hierarchy).alwaysMeasures, ...directory.controllers]);
    const cgroup = asDirectory(job, directory);
    for (const controller of controllers) {
      const counted: Partial<T> = read(controller, cgroup) ?? {};
      // The companion of a job on cgroup v1 is the last one, and counts CPU time again.
      for (const name of Object.keys(counted) as (keyof T)[]) merged[name] ??= counted[name] as T[keyof T];
    }
  }
  return merged;
}
