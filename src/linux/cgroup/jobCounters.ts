import { type Counters, UNKNOWN_COUNTERS } from "../../limits/counters.ts";
import { backendOf } from "./backends.ts";
import { asDirectory, type JobCgroup } from "./jobCgroup.ts";

/** Reads the present counters of a job's cgroup, or of its tenant's, from the hierarchies that count them. */
export function readJobCounters(job: JobCgroup): Counters {
  const readers = job.directories.flatMap((directory) => {
    const controllers = new Set([...backendOf(directory.hierarchy).alwaysMeasures, ...directory.controllers]);
    const cgroup = asDirectory(job, directory);
    return [...controllers].map((controller) => controller.counters?.(cgroup));
  });
  return Object.assign({ ...UNKNOWN_COUNTERS }, ...readers);
}
