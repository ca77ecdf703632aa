import type { Limits } from "../../limits/limits.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { type PlannedLimit, planLimits } from "../../linux/cgroup/jobLimits.ts";

/** The weight factor between neighbouring nice levels. Source: sched_prio_to_weight, kernel/sched/core.c. */
const WEIGHT_STEP = 1.25;
const DEFAULT_WEIGHT = 100;

/**
 * Plans the limits of a job, with the weight that its nice value stands for.
 *
 * In a cgroup of its own a process competes with the weight of the cgroup, and its nice value no longer counts against
 * processes outside: governing would favour a workload with a positive nice value. In place it competes as before.
 */
export function planWithNice(
  job: JobCgroup,
  limits: Limits,
  nice: number,
  total: Limits = {},
): PlannedLimit[] {
  const planned = planLimits(job, limits, total);
  if (limits.cpuWeight !== undefined || nice === 0) return planned;
  const directories = job.directories.filter(({ placedAs }) => placedAs !== "in-place");
  const [weight] = planLimits({ ...job, directories }, { cpuWeight: weightOfNice(nice) });
  return weight === undefined || "outcome" in weight ? planned : [...planned, { ...weight, isImplied: true }];
}

/** A cgroup weight: 100 for nice 0, 1 for nice 19. */
export function weightOfNice(nice: number): number {
  return Math.min(10_000, Math.max(1, Math.round(DEFAULT_WEIGHT * WEIGHT_STEP ** -nice)));
}
