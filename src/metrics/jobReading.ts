import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { whyMemoryIsPartial } from "../jobs/model/memoryCharge.ts";
import type { Counters } from "../limits/counters.ts";
import { type JobCgroup, listMembers, tenantCgroupOf } from "../linux/cgroup/jobCgroup.ts";
import { readJobCounters } from "../linux/cgroup/jobCounters.ts";
import type { Host } from "../linux/host.ts";
import { isAlive } from "../linux/proc/identity.ts";
import { type ProcessCpu, readProcessCpu, readResidentBytes } from "../linux/proc/resources.ts";
import { listTree, visible } from "../linux/proc/table.ts";
import type { Reading } from "./rates.ts";

/** The memory of a job at one time. `null` is unknown. */
export interface JobMemory {
  /**
   * Memory in use. `cgroup`: what is charged to the job's cgroup, without page cache that was not used lately, as Docker
   * counts it. `rss`: the resident memory of its processes, where the cgroup does not count all of the job's memory.
   */
  readonly bytes: number | null;
  readonly source: "cgroup" | "rss" | null;
  /** All that is charged to the job's cgroup, as its limits count it. */
  readonly chargedBytes: number | null;
  /** The sum of its processes. A page that several of them share counts in each. */
  readonly rssBytes: number | null;
}

export interface JobReading extends Reading {
  readonly memory: JobMemory;
  /** Its processes that are visible. */
  readonly pids: readonly number[];
  /** The number of its processes. `null`: it has not started, or they are not visible. */
  readonly processCount: number | null;
  /** The counters of its tenant's cgroups, by their path in the first hierarchy. Empty without such a cgroup. */
  readonly tenantCounters: ReadonlyMap<string, Counters>;
}

/** Reads the present counters and the memory of a job. Changes nothing. */
export function readJob({ host }: Context, job: OpenJob, cgroup: JobCgroup): JobReading {
  const pids = listProcessesOf(host, job, cgroup);
  // The time first: reading many processes takes some ms.
  const atBootMs = host.bootNow();
  const counters = readJobCounters(cgroup);
  const tenantCgroup = tenantCgroupOf(cgroup);
  const tenantPath = tenantCgroup.directories[0]?.path;
  return {
    atBootMs,
    counters,
    ...(counters.cpuUsec === null ? { processes: readCpuOf(host, pids) } : {}),
    memory: memoryOf(job, counters, readRss(host, pids)),
    pids,
    processCount: pids.length === 0 ? null : pids.length,
    tenantCounters: new Map(tenantPath === undefined ? [] : [[tenantPath, readJobCounters(tenantCgroup)]]),
  };
}

/** The cgroup has also the descendants whose parent has ended. Without one, the tree of the main process remains. */
function listProcessesOf(host: Host, { process }: OpenJob, cgroup: JobCgroup): number[] {
  const members = listMembers(cgroup);
  if (members.length > 0) return members;
  return process && isAlive(host, process) ? listTree(host, process.pid) : [];
}

function memoryOf(job: OpenJob, counters: Counters, rssBytes: number | null): JobMemory {
  const { memoryBytes: chargedBytes, inactiveFileBytes } = counters;
  if (chargedBytes !== null && whyMemoryIsPartial(job) === undefined) {
    const bytes = Math.max(0, chargedBytes - (inactiveFileBytes ?? 0));
    return { bytes, source: "cgroup", chargedBytes, rssBytes };
  }
  return { bytes: rssBytes, source: rssBytes === null ? null : "rss", chargedBytes, rssBytes };
}

/** Returns `null` when no process can be read. A process that has ended meanwhile has no memory. */
function readRss(host: Host, pids: readonly number[]): number | null {
  const sizes = pids.flatMap((pid) => visible(() => readResidentBytes(host, pid)) ?? []);
  return sizes.length === 0 ? null : sizes.reduce((sum, bytes) => sum + bytes);
}

function readCpuOf(host: Host, pids: readonly number[]): ProcessCpu[] {
  return pids.flatMap((pid) => visible(() => readProcessCpu(host, pid)) ?? []);
}
