import type { Limits } from "../../limits/limits.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { type PlannedLimit, planLimits } from "../../linux/cgroup/jobLimits.ts";
import type { Host } from "../../linux/host.ts";
import { readStat } from "../../linux/proc/stat.ts";

/**
 * Plans the limits of a job, with the weight that its nice value means; `nice` is the one of its process now. In a cgroup
 * of its own a process competes with the weight of the cgroup, and its nice value no longer counts against processes
 * outside: governing would favour a workload with a positive nice value. In place it competes as before.
 */
export function planWithNice(job: JobCgroup, limits: Limits, nice: number, total?: Limits): PlannedLimit[] {
  const wantedNice = limits.nice ?? nice;
  const planned = planLimits(job, limits, total);
  if (limits.cpuWeight !== undefined || wantedNice === 0) return planned;
  const directories = job.directories.filter(({ placedAs }) => placedAs !== "in-place");
  const [weight] = planLimits({ ...job, directories }, { cpuWeight: weightOfNice(wantedNice) });
  return weight === undefined || "outcome" in weight ? planned : [...planned, { ...weight, isImplied: true }];
}

/** Returns the nice value of a process; 0 when it is gone. */
export function readNice(host: Host, pid: number): number {
  const stat = readStat(host, pid);
  return stat === "gone" ? 0 : stat.nice;
}

/**
 * Returns the cgroup weight of a nice value: 100 for nice 0, 1 for nice 19. Neighbouring nice levels differ by a factor of
 * 1.25. Source: sched_prio_to_weight, kernel/sched/core.c.
 */
export function weightOfNice(nice: number): number {
  return Math.min(10_000, Math.max(1, Math.round(100 * 1.25 ** -nice)));
}
