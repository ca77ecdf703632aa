import type { Limits } from "../../limits/limits.ts";
import { applyCgroupLimits, type JobCgroup } from "../../linux/cgroup/jobCgroup.ts";

/** What one nice level is worth against the next. Source: sched_prio_to_weight, kernel/sched/core.c. */
const WEIGHT_STEP = 1.25;
const DEFAULT_WEIGHT = 100;

/**
 * In a cgroup of its own a process competes with the cgroup's weight, and its nice value no longer counts against
 * what is outside: a workload that somebody had niced down would be favoured by our governing. So the cgroup
 * gets the weight that the nice value stands for, unless a weight was asked for.
 */
export function setWeightFromNice(cgroup: JobCgroup, limits: Limits, nice: number): void {
  if (limits.cpuWeight !== undefined || nice === 0) return;
  // In place it still competes as before.
  const directories = cgroup.directories.filter(({ placedAs }) => placedAs !== "in-place");
  applyCgroupLimits({ ...cgroup, directories }, { cpuWeight: weightOfNice(nice) });
}

/** As cgroups count weight: 100 for nice 0, 1 for nice 19. */
export function weightOfNice(nice: number): number {
  return Math.min(10_000, Math.max(1, Math.round(DEFAULT_WEIGHT * WEIGHT_STEP ** -nice)));
}
