import type { Limits } from "../../limits/limits.ts";
import { readText } from "../../linux/cgroup/file.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { type PlannedLimit, planLimits } from "../../linux/cgroup/jobLimits.ts";
import { weightFileOf } from "../../linux/cgroup/weightFile.ts";
import type { Host } from "../../linux/host.ts";
import { countOnlineCpus } from "../../linux/onlineCpus.ts";
import { bootMsOf, readStat } from "../../linux/proc/stat.ts";
import { listThreads, listTree } from "../../linux/proc/table.ts";

const SHARES = weightFileOf({ version: 1 });

/** The facts of a workload when its limits are planned. */
export interface Workload {
  /** The nice value of its process now. */
  nice: number;
  /** The number of its threads, where it has run for long enough to have them all. */
  threads?: number | undefined;
}

/**
 * Plans the limits of a job, with the weight that follows from them where none is asked for.
 *
 * In a cgroup of its own a process competes with the weight of the cgroup, and its nice value no longer counts against
 * processes outside: governing would favour a workload with a positive nice value. In place it competes as before.
 *
 * Beside the threads of other programs, a cgroup of the default weight competes as one of them: governing would take CPU time
 * from a workload with several. See `threadsOfQuota`.
 */
export function planWithWeight(
  job: JobCgroup,
  limits: Limits,
  { nice, threads }: Workload,
  total?: Limits,
): PlannedLimit[] {
  const planned = planLimits(job, limits, total);
  const own = job.directories.filter(({ placedAs }) => placedAs !== "in-place");
  const isBesideThreads = own.some(({ placedAs }) => placedAs === "child");
  const weightOf = (asked: Limits, max = threads): number =>
    weightOfNice(asked.nice ?? nice, isBesideThreads ? threadsOfQuota(asked.cpuMax, max) : 1);
  const implied: PlannedLimit[] = [];
  if (limits.cpuWeight === undefined && limits.cpuIdle === undefined)
    implied.push(...planLimits({ ...job, directories: own }, { cpuWeight: weightOf(limits) }));
  if (total?.cpuMax !== undefined && total.cpuWeight === undefined && total.cpuIdle === undefined)
    implied.push(
      ...planLimits(
        { ...job, directories: own },
        {},
        { cpuWeight: weightOf({ cpuMax: total.cpuMax, nice: 0 }, undefined) },
      ),
    );
  return [...planned, ...implied.flatMap((weight) => asImplied(job, weight))];
}

/**
 * Returns the cgroup whose threads a job competes with as one of them, although it may have several: no limit gave it a
 * weight, and none bounds what a larger one would take. `undefined` for any other job.
 */
export function competesAsOneIn({ directories }: JobCgroup, limits: Limits): string | undefined {
  if (limits.cpuWeight !== undefined || limits.cpuIdle !== undefined) return undefined;
  if (threadsOfQuota(limits.cpuMax) > 1) return undefined;
  const hasCpu = ({ controllers }: JobCgroup["directories"][number]): boolean =>
    controllers.some(({ name }) => name === "cpu");
  // In the cgroup of a tenant it competes with other jobs alone.
  return directories.find((each) => each.placedAs === "child" && each.tenant === undefined && hasCpu(each))
    ?.origin;
}

function asImplied({ fs }: JobCgroup, weight: PlannedLimit): PlannedLimit[] {
  if ("outcome" in weight) return [];
  // A cgroup that is only planned has the default.
  const isThere = weight.writes.writes.every(({ file, data }) => {
    const version = file === SHARES.file ? 1 : 2;
    return (readText(fs, `${weight.path}/${file}`) ?? weightFileOf({ version }).toText(100)) === data;
  });
  return isThere ? [] : [{ ...weight, isImplied: true }];
}

/**
 * Returns how many threads a workload competes as. A quota bounds what it can take from its neighbours, so it gets the weight
 * of the threads that the quota lets run at once, and of one that waits: measured for live streams, which have less with a
 * smaller weight. Without a bound, a larger weight would let a workload that never sleeps take more than its threads did.
 */
export function threadsOfQuota(
  cpuMax: Limits["cpuMax"],
  threads = Number.POSITIVE_INFINITY,
  cpus?: number,
): number {
  if (typeof cpuMax?.quotaUsec !== "number") return 1;
  const cores = cpuMax.quotaUsec / cpuMax.periodUsec;
  // Count the CPUs of the machine: its neighbours may use CPUs that this process may not, as under taskset.
  return cores >= (cpus ?? countOnlineCpus()) ? 1 : Math.max(1, Math.min(Math.ceil(cores) + 1, threads));
}

/** Younger processes have not started all of their threads yet: an encoder does within its first second. */
const SETTLED_MS = 2000;

/** Reads a workload that runs. One that is gone has no threads. */
export function readWorkload(host: Host, pid: number): Workload {
  const stat = readStat(host, pid);
  if (stat === "gone") return { nice: 0 };
  const isSettled = host.bootNow() - bootMsOf(stat.startTicks) >= SETTLED_MS;
  return { nice: stat.nice, threads: isSettled ? countThreads(host, pid) : undefined };
}

/** Counts the threads of a process and its descendants. */
function countThreads(host: Host, pid: number): number {
  return listTree(host, pid).reduce((sum, each) => sum + listThreads(host, each).length, 0);
}

/**
 * Returns the cgroup weight of threads with a nice value: 100 for one with nice 0, 1 for nice 19. Neighbouring nice levels
 * differ by a factor of 1.25. Source: sched_prio_to_weight, kernel/sched/core.c.
 */
export function weightOfNice(nice: number, threads = 1): number {
  return Math.min(10_000, Math.max(1, Math.round(threads * 100 * 1.25 ** -nice)));
}
