import { countCpus, IDLE_WEIGHT, readCpuShare } from "../../linux/cgroup/cpuShare.ts";
import { directoryOf, type Hierarchy, readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import { isOutsideInitialNamespace } from "../../linux/proc/namespaces.ts";
import { visible } from "../../linux/proc/table.ts";
import {
  hasAutogroups,
  readAutogroup,
  readReadyUsec,
  readThreadScheduling,
} from "../../linux/proc/threadTimes.ts";
import type { Competitor, ShareGroup } from "./model.ts";

/** A reading of more would take longer than 50 ms. */
const MAX_THREADS = 4000;
const MAX_GROUPS = 1000;
/** Threads that were ready for less, as most of a machine's are, divide nothing. */
const MIN_DEMAND_CORES = 0.001;
/** A real-time thread runs before all others. */
const REALTIME_WEIGHT = 1e6;

/** Too many threads or cgroups to read. */
class TooMany extends Error {}

/**
 * Reads the tree of what competes for the CPUs: the cgroups of jobs, those around them, and those and the threads beside
 * them. A cgroup that is not around a job counts with all below it as one.
 *
 * The kernel has no counter of the threads that are ready to run. A thread's part of the time in which it ran or waited for
 * a CPU, from schedstat, is the number of CPUs that it would use if it were alone. A job counts with each thread that has
 * run at all: it is sure of its share when it peaks, too.
 */
export class ShareTreeReader {
  readonly #host: Host;
  readonly #hierarchy: Hierarchy | undefined;
  /** On v1 another one than that of the cpu controller. */
  readonly #cpusets: Hierarchy | undefined;
  readonly #isVisible: boolean;
  readonly #threadsFile: string;
  #before: { atBootMs: number; readyUsec: ReadonlyMap<number, number> } | undefined;

  constructor(host: Host, hierarchies: readonly Hierarchy[]) {
    this.#host = host;
    this.#hierarchy = hierarchies.find(({ controllers }) => controllers.includes("cpu"));
    this.#cpusets = hierarchies.find(({ controllers }) => controllers.includes("cpuset"));
    // In a container, what competes outside of it is not visible.
    this.#isVisible =
      this.#hierarchy?.mountRoot === "/" &&
      !isOutsideInitialNamespace(host, "cgroup") &&
      !isOutsideInitialNamespace(host, "pid");
    const root = this.#hierarchy?.mountPoint ?? "";
    this.#threadsFile = host.cgroupFs.exists(`${root}/cgroup.threads`) ? "cgroup.threads" : "tasks";
  }

  /** The key of the hierarchy with the cpu controller, in which jobs are looked for. */
  get hierarchyKey(): string | undefined {
    return this.#isVisible ? this.#hierarchy?.key : undefined;
  }

  /**
   * Returns the tree between this reading and the one before. `undefined`: this is the first reading, a part of the tree is
   * not visible, or it is too large.
   */
  read(jobs: readonly JobGroup[]): ShareGroup | undefined {
    const hierarchy = this.#hierarchy;
    if (hierarchy === undefined || !this.#isVisible) return undefined;
    const before = this.#before;
    const cpus = new Map(jobs.map(({ path, pid }) => [path, this.#cpusOf(pid)]));
    const reading = new Reading(this.#host, hierarchy, this.#threadsFile, cpus, before);
    try {
      const root = reading.root();
      this.#before = reading;
      return before === undefined || reading.elapsedUsec <= 0 ? undefined : root;
    } catch (error) {
      if (!(error instanceof TooMany)) throw error;
      this.#before = undefined;
      return undefined;
    }
  }

  /** All threads of a job are in one cpuset, unless the workload makes more. */
  #cpusOf(pid: number): number | null {
    const hierarchy = this.#cpusets;
    const membership = visible(() => readMembership(this.#host, pid));
    const path = membership?.get(hierarchy?.key ?? "");
    const directory = hierarchy && path !== undefined ? directoryOf(hierarchy, path) : undefined;
    return directory === undefined ? null : countCpus({ fs: this.#host.cgroupFs, path: directory });
  }
}

/** A job's directory in the hierarchy of the cpu controller, and its main process. */
export interface JobGroup {
  readonly path: string;
  readonly pid: number;
}

class Reading {
  readonly atBootMs: number;
  readonly readyUsec = new Map<number, number>();
  readonly elapsedUsec: number;
  readonly #host: Host;
  readonly #hierarchy: Hierarchy;
  readonly #threadsFile: string;
  /** The number of CPUs of each job, by path. */
  readonly #jobs: ReadonlyMap<string, number | null>;
  /** The cgroups around jobs. */
  readonly #around = new Set<string>();
  readonly #before: ReadonlyMap<number, number> | undefined;
  #groups = 0;
  #threads = 0;

  constructor(
    host: Host,
    hierarchy: Hierarchy,
    threadsFile: string,
    jobs: ReadonlyMap<string, number | null>,
    before: (Pick<Reading, "atBootMs"> & { readyUsec: ReadonlyMap<number, number> }) | undefined,
  ) {
    this.#host = host;
    this.#hierarchy = hierarchy;
    this.#threadsFile = threadsFile;
    this.#jobs = jobs;
    for (const path of jobs.keys()) {
      for (let above = parentOf(path); above.length >= hierarchy.mountPoint.length; above = parentOf(above))
        this.#around.add(above);
    }
    this.atBootMs = host.bootNow();
    this.#before = before?.readyUsec;
    this.elapsedUsec = before === undefined ? 0 : 1000 * (this.atBootMs - before.atBootMs);
  }

  root(): ShareGroup {
    const path = this.#hierarchy.mountPoint;
    const { threads, children } = this.#inside(path, hasAutogroups(this.#host));
    return { path, weight: 100, quotaCores: null, cpus: null, threads, children };
  }

  /** Returns a cgroup, or, where the controller divides nothing there, the threads that compete beside the cgroups above. */
  #group(path: string): ShareGroup | Competitor[] {
    if (++this.#groups > MAX_GROUPS) throw new TooMany();
    const { fs, hierarchy } = { fs: this.#host.cgroupFs, hierarchy: this.#hierarchy };
    const share = readCpuShare({ fs, hierarchy, path });
    if (share === undefined) return this.#demandsBelow(path).flatMap((each) => this.#competitor(each));
    const cpus = this.#jobs.get(path) ?? countCpus({ fs, path });
    if (this.#around.has(path)) return { path, ...share, cpus, ...this.#inside(path, false) };
    const demands = this.#demandsBelow(path).map(({ demandCores }) => demandCores);
    const demandCores = this.#jobs.has(path)
      ? demands.filter((each) => each > 0).length
      : demands.reduce((sum, each) => sum + each, 0);
    return { path, ...share, cpus, threads: [{ weight: 100, demandCores }], children: [] };
  }

  #inside(path: string, hasAutogroups: boolean): Pick<ShareGroup, "threads" | "children"> {
    const below = this.#children(path).map((child) => this.#group(child));
    const own = this.#demands(path);
    const loose = hasAutogroups ? this.#byAutogroup(own) : own.flatMap((each) => this.#competitor(each));
    return {
      threads: [...loose, ...below.flatMap((each) => (Array.isArray(each) ? each : []))],
      children: below.flatMap((each) => (Array.isArray(each) ? [] : each)),
    };
  }

  #children(path: string): string[] {
    try {
      return this.#host.cgroupFs.children(path).map((name) => `${path}/${name}`);
    } catch {
      // Removed meanwhile.
      return [];
    }
  }

  #demandsBelow(path: string): Demand[] {
    return [
      ...this.#demands(path),
      ...this.#children(path).flatMap((child) => {
        if (++this.#groups > MAX_GROUPS) throw new TooMany();
        return this.#demandsBelow(child);
      }),
    ];
  }

  #demands(path: string): Demand[] {
    let text = "";
    try {
      text = this.#host.cgroupFs.read(`${path}/${this.#threadsFile}`);
    } catch {
      // Removed meanwhile.
    }
    const tids = text.split("\n").filter(Boolean).map(Number);
    this.#threads += tids.length;
    if (this.#threads > MAX_THREADS) throw new TooMany();
    return tids.map((tid) => ({ tid, demandCores: this.#demandOf(tid) }));
  }

  #demandOf(tid: number): number {
    const usec = readReadyUsec(this.#host, tid);
    if (usec === undefined) return 0;
    this.readyUsec.set(tid, usec);
    if (this.elapsedUsec <= 0) return 0;
    const earlier = this.#before?.get(tid) ?? 0;
    // A lower number is that of a new thread with the same id.
    return Math.min(1, (usec >= earlier ? usec - earlier : usec) / this.elapsedUsec);
  }

  #competitor({ tid, demandCores }: Demand): Competitor[] {
    if (demandCores < MIN_DEMAND_CORES) return [];
    const scheduling = readThreadScheduling(this.#host, tid);
    return scheduling === undefined ? [] : [{ weight: weightOf(scheduling), demandCores }];
  }

  /** The threads of an autogroup compete as one. */
  #byAutogroup(demands: readonly Demand[]): Competitor[] {
    const groups = new Map<string, Competitor>();
    const others: Competitor[] = [];
    for (const demand of demands) {
      if (demand.demandCores < MIN_DEMAND_CORES) continue;
      const group = readAutogroup(this.#host, demand.tid);
      if (group === undefined) others.push(...this.#competitor(demand));
      else {
        const demandCores = (groups.get(group.name)?.demandCores ?? 0) + demand.demandCores;
        groups.set(group.name, { weight: weightOfNice(group.nice), demandCores });
      }
    }
    return [...groups.values(), ...others];
  }
}

interface Demand {
  readonly tid: number;
  readonly demandCores: number;
}

function weightOf({ policy, nice }: NonNullable<ReturnType<typeof readThreadScheduling>>): number {
  return policy === "realtime" ? REALTIME_WEIGHT : policy === "idle" ? IDLE_WEIGHT : weightOfNice(nice);
}

/** Neighboring nice levels differ by a factor of 1.25. Source: sched_prio_to_weight, kernel/sched/core.c. */
function weightOfNice(nice: number): number {
  return 100 * 1.25 ** -nice;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
