import { type Counters, UNKNOWN_COUNTERS } from "../../limits/counters.ts";
import { backendOf } from "./backends.ts";
import { asDirectory, type JobCgroup } from "./jobCgroup.ts";

/** Reads the present counters of a job's cgroup, or of its tenant's, from the hierarchies that count them. */
export function readJobCounters(job: JobCgroup): Counters {
  const counters = { ...UNKNOWN_COUNTERS };
  for (const directory of job.directories) {
    const controllers = new Set([...backendOf(directory.hierarchy).alwaysMeasures, ...directory.controllers]);
    const cgroup = asDirectory(job, directory);
    for (const controller of controllers) {
      const counted = controller.counters?.(cgroup) ?? {};
      // The companion of a job on cgroup v1 is the last one, and counts CPU time again.
      for (const name of Object.keys(counted) as (keyof Counters)[]) counters[name] ??= counted[name] ?? null;
    }
  }
  return counters;
}
