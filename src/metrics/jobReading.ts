import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { whyMemoryIsPartial } from "../jobs/model/memoryCharge.ts";
import type { Counters, Details } from "../limits/counters.ts";
import { hasOnlyCompanions } from "../linux/cgroup/companion.ts";
import { type JobCgroup, listMembers, tenantCgroupOf } from "../linux/cgroup/jobCgroup.ts";
import { counterReader, detailReader } from "../linux/cgroup/jobCounters.ts";
import type { FileView, KeptFiles } from "../linux/cgroup/keptFiles.ts";
import type { CgroupFs } from "../linux/cgroupFs.ts";
import { type Host, unlessGone } from "../linux/host.ts";
import { isAlive } from "../linux/proc/identity.ts";
import {
  type ProcessUse,
  readProcessUse,
  readResidentBytes,
  residentBytesIn,
} from "../linux/proc/resources.ts";
import { listTree, visible } from "../linux/proc/table.ts";
import type { Reading } from "./rates.ts";

/** The memory of a job at one time. `null` is unknown. */
export interface JobMemory {
  /**
   * Memory in use. `cgroup`: what is charged to the job's cgroup, without page cache that was not used lately, as Docker
   * counts it. `rss`: the resident memory of its processes, where the cgroup does not count all of the job's memory; as old
   * as the details are.
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

/** Reads the present counters and the memory of a job. Changes nothing. */
export function readJob(context: Context, job: OpenJob, cgroup: JobCgroup): JobReading {
  return new JobReader(context.host, cgroup).read(job);
}

/** Reads one job again and again. Its cgroup stays the same. */
export class JobReader {
  readonly #host: Host;
  readonly #cgroup: JobCgroup;
  readonly #readCounters: () => Counters;
  readonly #readDetails: () => Details;
  /** The cgroup as its processes are listed. */
  readonly #listed: JobCgroup;
  readonly #readTenant: () => ReadonlyMap<string, Counters>;
  readonly #close: () => void;
  /** The files that are read seldom, where they stay open; among them those of these processes. */
  readonly #kept: FileView | undefined;
  #keptPids: readonly number[] = [];

  /** `kept`: keeps the files of the cgroup open until `close`. */
  constructor(host: Host, cgroup: JobCgroup, kept?: KeptFiles) {
    const view = kept?.view(cgroup.fs);
    const detailView = kept?.view(cgroup.fs, "seldom");
    const counted = view === undefined ? cgroup : { ...cgroup, fs: view.fs };
    const tenantCgroup = tenantCgroupOf(counted);
    const tenantPath = tenantCgroup.directories[0]?.path;
    const readTenant = counterReader(tenantCgroup);
    const withoutTenant = new Map<string, Counters>();
    this.#host = host;
    this.#cgroup = cgroup;
    this.#readCounters = counterReader(counted);
    this.#readDetails = detailReader(detailView === undefined ? cgroup : { ...cgroup, fs: detailView.fs });
    this.#readTenant = () =>
      tenantPath === undefined ? withoutTenant : new Map([[tenantPath, readTenant()]]);
    this.#kept = detailView?.fs === cgroup.fs ? undefined : detailView;
    this.#listed = detailView === undefined ? cgroup : listedIn(cgroup, detailView.fs);
    this.#close = () => {
      view?.close();
      detailView?.close();
    };
  }

  /** `last`: the details of an earlier reading, which are used again until they are `maxAgeMs` old. */
  read(job: OpenJob, last?: JobDetails, maxAgeMs = 0): JobReading {
    const host = this.#host;
    const nowMs = host.bootNow();
    const known = last !== undefined && nowMs - last.atBootMs < maxAgeMs ? last : undefined;
    const details = known ?? this.#details(job);
    // Before the counters: reading many processes takes some ms.
    const atBootMs = known === undefined ? host.bootNow() : nowMs;
    const counters = this.#readCounters();
    const memory = memoryOf(job, counters, details);
    return {
      atBootMs,
      counters,
      ...(counters.cpuUsec === null
        ? { processes: readUseOf(host, this.#uncounted(job, details, known)) }
        : {}),
      memory,
      processCount: details.pids.length === 0 ? null : details.pids.length,
      details,
      tenantCounters: this.#readTenant(),
    };
  }

  close(): void {
    this.#close();
  }

  #details(job: OpenJob): JobDetails {
    const pids = listProcessesOf(this.#host, job, this.#listed);
    return {
      ...this.#readDetails(),
      atBootMs: this.#host.bootNow(),
      pids,
      rssBytes: this.#readRss(pids),
    };
  }

  #readRss(pids: readonly number[]): number | null {
    const kept = this.#kept;
    const directoryOf = (pid: number) => `${this.#host.procRoot}/${pid}`;
    const keptPids = pids.length > MAX_KEPT_PROCESSES ? [] : pids;
    for (const pid of this.#keptPids) if (!keptPids.includes(pid)) kept?.closeIn(directoryOf(pid));
    this.#keptPids = keptPids;
    if (kept === undefined || keptPids.length === 0)
      return sumOfSizes(pids, (pid) => readResidentBytes(this.#host, pid));
    // The open file of a process that has ended cannot be read, also when its pid is in use again. Then the present one is opened.
    return sumOfSizes(pids, (pid) => {
      const text = unlessGone(() => kept.fs.read(`${directoryOf(pid)}/statm`));
      return text === "gone" ? "gone" : residentBytesIn(text);
    });
  }

  /** A process that has started since the details were read has no cgroup that counts it. */
  #uncounted(job: OpenJob, details: JobDetails, known: JobDetails | undefined): readonly number[] {
    return known === undefined ? details.pids : listProcessesOf(this.#host, job, this.#cgroup);
  }
}

/** Of a job with more processes than this, their files in procfs are opened for each reading. */
const MAX_KEPT_PROCESSES = 4;

/** A longer list of processes than this may be cut: the kernel returns at most a page of one with each read. */
const MAX_WHOLE_LIST = 2048;

/**
 * Returns the cgroup with its directory in the hierarchy of v2 first, and with the lists there in files that stay open. On v1
 * such a file shows the list of an earlier reading (cgroup_pidlist, kernel/cgroup/cgroup-v1.c). A companion is not used: it
 * limits nothing, so that processes of the job may be outside of it.
 */
function listedIn(cgroup: JobCgroup, kept: CgroupFs): JobCgroup {
  const isListed = ({ hierarchy }: JobCgroup["directories"][number]) =>
    hierarchy.version === 2 && !hasOnlyCompanions(hierarchy);
  const { fs, directories } = cgroup;
  const own = directories.find(isListed);
  if (own === undefined) return cgroup;
  const list = `${own.path}/cgroup.procs`;
  const read = (path: string): string => {
    const text = path === list ? kept.read(path) : fs.read(path);
    return path !== list || text.length < MAX_WHOLE_LIST ? text : fs.read(path);
  };
  const others = directories.filter((each) => each !== own);
  return { ...cgroup, fs: { ...fs, read }, directories: [own, ...others] };
}

/**
 * The cgroup has also the descendants whose parent has ended. One of its directories is enough, because the processes are
 * in all. Without a cgroup, the tree of the main process remains.
 */
function listProcessesOf(host: Host, { process }: OpenJob, cgroup: JobCgroup): number[] {
  const [first, ...others] = cgroup.directories;
  const members = first === undefined ? [] : listMembers({ ...cgroup, directories: [first] });
  if (members.length > 0) return members;
  const elsewhere = listMembers({ ...cgroup, directories: others });
  if (elsewhere.length > 0) return elsewhere;
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
function sumOfSizes(pids: readonly number[], read: (pid: number) => number | "gone"): number | null {
  const sizes = pids.flatMap((pid) => visible(() => read(pid)) ?? []);
  return sizes.length === 0 ? null : sizes.reduce((sum, bytes) => sum + bytes);
}

function readUseOf(host: Host, pids: readonly number[]): ProcessUse[] {
  return pids.flatMap((pid) => visible(() => readProcessUse(host, pid)) ?? []);
}
