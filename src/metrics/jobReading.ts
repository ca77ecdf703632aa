import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { whyMemoryIsPartial } from "../jobs/model/memoryCharge.ts";
import type { Counters, Details } from "../limits/counters.ts";
import { type JobCgroup, listMembers, tenantCgroupOf } from "../linux/cgroup/jobCgroup.ts";
import { readJobCounters, readJobDetails } from "../linux/cgroup/jobCounters.ts";
import type { Host } from "../linux/host.ts";
import { isAlive } from "../linux/proc/identity.ts";
import { type ProcessUse, readProcessUse, readResidentBytes } from "../linux/proc/resources.ts";
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
  /** The number of its processes. `null`: it has not started, or they are not visible. */
  readonly processCount: number | null;
  readonly details: JobDetails;
  /** The counters of its tenant's cgroups, by their path in the first hierarchy. Empty without such a cgroup. */
  readonly tenantCounters: ReadonlyMap<string, Counters>;
}

/** The part of a reading that may be older than the rest. */
export interface JobDetails extends Details {
  /** CLOCK_BOOTTIME, ms. */
  readonly atBootMs: number;
  /** The processes of the job. */
  readonly pids: readonly number[];
  /** The resident memory of its processes. */
  readonly rssBytes: number | null;
}

/**
 * Reads the present counters and the memory of a job. Changes nothing. `known`: details that were read lately, instead of
 * the present ones.
 */
export function readJob({ host }: Context, job: OpenJob, cgroup: JobCgroup, known?: JobDetails): JobReading {
  const details = known ?? readDetails(host, job, cgroup);
  // The time first: reading many processes takes some ms.
  const atBootMs = host.bootNow();
  const counters = readJobCounters(cgroup);
  // A process that has started since the details were read has no cgroup that counts it.
  const uncounted =
    counters.cpuUsec !== null ? undefined : known ? listProcessesOf(host, job, cgroup) : details.pids;
  const memory = memoryOf(job, counters, details);
  const tenantCgroup = tenantCgroupOf(cgroup);
  const tenantPath = tenantCgroup.directories[0]?.path;
  return {
    atBootMs,
    counters,
    ...(uncounted === undefined ? {} : { processes: readUseOf(host, uncounted) }),
    memory: known && memory.source === "rss" ? { ...memory, ...presentRss(host, known) } : memory,
    processCount: details.pids.length === 0 ? null : details.pids.length,
    details,
    tenantCounters: new Map(tenantPath === undefined ? [] : [[tenantPath, readJobCounters(tenantCgroup)]]),
  };
}

function readDetails(host: Host, job: OpenJob, cgroup: JobCgroup): JobDetails {
  const pids = listProcessesOf(host, job, cgroup);
  const atBootMs = host.bootNow();
  return { ...readJobDetails(cgroup), atBootMs, pids, rssBytes: readRss(host, pids) };
}

function presentRss(host: Host, { pids }: JobDetails): Pick<JobMemory, "bytes" | "rssBytes"> {
  const rssBytes = readRss(host, pids);
  return { bytes: rssBytes, rssBytes };
}

/** The cgroup has also the descendants whose parent has ended. Without one, the tree of the main process remains. */
function listProcessesOf(host: Host, { process }: OpenJob, cgroup: JobCgroup): number[] {
  const members = listMembers(cgroup);
  if (members.length > 0) return members;
  return process && isAlive(host, process) ? listTree(host, process.pid) : [];
}

function memoryOf(job: OpenJob, counters: Counters, { inactiveFileBytes, rssBytes }: JobDetails): JobMemory {
  const { memoryBytes: chargedBytes } = counters;
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

function readUseOf(host: Host, pids: readonly number[]): ProcessUse[] {
  return pids.flatMap((pid) => visible(() => readProcessUse(host, pid)) ?? []);
}
