import { countCpus, IDLE_WEIGHT, readCpuShare } from "../../linux/cgroup/cpuDivision.ts";
import type { Hierarchy } from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import {
  hasAutogroups,
  readAutogroup,
  readReadyUsec,
  readThreadScheduling,
  type ThreadScheduling,
} from "../../linux/proc/threadTimes.ts";
import type { Competitor, ShareGroup } from "./model.ts";

export interface JobInTree {
  /** Names the job in the shares, unless it has a cgroup in the hierarchy of the cpu controller. */
  readonly name: string;
  /** A directory with its threads, preferably in the hierarchy of the cpu controller. */
  readonly path: string;
  /** The file with its threads there: `tasks` on cgroup v1. */
  readonly threadsFile: string;
  readonly pid: number;
  /**
   * Of a process that is no job yet: its threads, which compete in the cgroup `path` beside others. Absent: all threads in
   * `path` are the job's.
   */
  readonly threads?: readonly number[];
}

/** A reading of so many takes 90 ms of CPU. */
const MAX_THREADS = 4000;
const MAX_GROUPS = 1000;
/** Threads that were ready for less, as most of a machine's are, divide nothing. */
const MIN_DEMAND_CORES = 0.001;
/** A real-time thread runs before all others. */
const REALTIME_WEIGHT = 1e6;

/** The root cgroup competes with nothing. */
const ROOT = { weight: 100, quotaCores: null, cpus: null };

/** Too many threads or cgroups to read. */
export class TooMany extends Error {}

interface LooseJob {
  readonly name: string;
  readonly cpus: number | null;
  readonly isJob: boolean;
}

interface Demand {
  readonly tid: number;
  readonly demandCores: number;
}

/** One reading of the tree, with the times that the next one is compared with. */
export class TreeReading {
  /** 0 for the first reading. */
  readonly elapsedUsec: number;
  readonly #atBootMs: number;
  readonly #readyUsec = new Map<number, number>();
  readonly #host: Host;
  readonly #hierarchy: Hierarchy;
  readonly #threadsFile: string;
  /** The number of CPUs of each job with a cgroup of its own in the hierarchy, by path. */
  readonly #jobs = new Map<string, number | null>();
  /** The jobs without one, by the ids of their threads. */
  readonly #looseJobs = new Map<number, LooseJob>();
  /** The cgroups around jobs. */
  readonly #around = new Set<string>();
  readonly #before: ReadonlyMap<number, number>;
  #groups = 0;
  #threads = 0;

  constructor(host: Host, hierarchy: Hierarchy, threadsFile: string, before: TreeReading | undefined) {
    this.#host = host;
    this.#hierarchy = hierarchy;
    this.#threadsFile = threadsFile;
    this.#atBootMs = host.bootNow();
    this.#before = before === undefined ? new Map() : before.#readyUsec;
    this.elapsedUsec = before === undefined ? 0 : 1000 * (this.#atBootMs - before.#atBootMs);
  }

  addJob({ name, path, threadsFile, threads }: JobInTree, cpus: number | null): void {
    const isGroup =
      threads === undefined &&
      path.startsWith(`${this.#hierarchy.mountPoint}/`) &&
      this.#shareOf(path) !== undefined;
    if (isGroup) {
      this.#jobs.set(path, cpus);
      this.#addAround(parentOf(path));
      return;
    }
    if (threads !== undefined) this.#addAround(path);
    const loose = { name, cpus, isJob: threads === undefined };
    for (const tid of threads ?? this.#threadsBelow(path, threadsFile)) this.#looseJobs.set(tid, loose);
  }

  #addAround(path: string): void {
    for (let each = path; each.length >= this.#hierarchy.mountPoint.length; each = parentOf(each))
      this.#around.add(each);
  }

  /** Throws TooMany. */
  root(): ShareGroup {
    const path = this.#hierarchy.mountPoint;
    return { path, ...ROOT, ...this.#inside(path, hasAutogroups(this.#host)) };
  }

  /** Returns a cgroup, or, where the controller divides nothing there, the threads that compete beside the cgroups above. */
  #group(path: string): ShareGroup | Demand[] {
    const share = this.#shareOf(path);
    if (share === undefined) return this.#demandsBelow(path);
    const cpus = this.#jobs.get(path) ?? countCpus({ fs: this.#host.cgroupFs, path });
    if (this.#around.has(path)) {
      this.#countGroup();
      return { path, ...share, cpus, ...this.#inside(path, false) };
    }
    const demands = this.#demandsBelow(path).map(({ demandCores }) => demandCores);
    const demandCores = this.#jobs.has(path)
      ? demands.filter((each) => each > 0).length
      : demands.reduce((sum, each) => sum + each, 0);
    return { path, ...share, cpus, threads: [{ weight: 100, demandCores }], children: [] };
  }

  #inside(path: string, isGroupedBySession: boolean): Pick<ShareGroup, "threads" | "children"> {
    const below = this.#children(path).map((child) => this.#group(child));
    const loose = below.flatMap((each) => (Array.isArray(each) ? each : []));
    const demands = [...this.#threadsIn(path, this.#threadsFile).map((tid) => this.#demandOf(tid)), ...loose];
    const children = below.flatMap((each) => (Array.isArray(each) ? [] : each));
    if (!isGroupedBySession) return { threads: this.#competitors(demands), children };
    const { threads, autogroups } = this.#byAutogroup(path, demands);
    return { threads, children: [...children, ...autogroups] };
  }

  #shareOf(path: string) {
    return readCpuShare({ fs: this.#host.cgroupFs, hierarchy: this.#hierarchy, path });
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
    return this.#threadsBelow(path, this.#threadsFile).map((tid) => this.#demandOf(tid));
  }

  #threadsBelow(path: string, file: string): number[] {
    this.#countGroup();
    const below = this.#children(path).flatMap((child) => this.#threadsBelow(child, file));
    return [...this.#threadsIn(path, file), ...below];
  }

  #countGroup(): void {
    if (++this.#groups > MAX_GROUPS) throw new TooMany();
  }

  #threadsIn(path: string, file: string): number[] {
    let text = "";
    try {
      text = this.#host.cgroupFs.read(`${path}/${file}`);
    } catch {
      // Removed meanwhile.
    }
    const tids = text.split("\n").filter(Boolean).map(Number);
    this.#threads += tids.length;
    if (this.#threads > MAX_THREADS) throw new TooMany();
    return tids;
  }

  #demandOf(tid: number): Demand {
    const usec = readReadyUsec(this.#host, tid);
    if (usec !== undefined) this.#readyUsec.set(tid, usec);
    if (usec === undefined || this.elapsedUsec <= 0) return { tid, demandCores: 0 };
    const earlier = this.#before.get(tid) ?? 0;
    // A lower number is that of a new thread with the same id.
    const readyUsec = usec >= earlier ? usec - earlier : usec;
    return { tid, demandCores: Math.min(1, readyUsec / this.elapsedUsec) };
  }

  /** Returns the threads that compete each by itself, and those of a job together. */
  #competitors(demands: readonly Demand[]): Competitor[] {
    const ofJobs = new Map<string, LooseJob & { weight: number; demandCores: number; ran: number }>();
    const others = demands.flatMap(({ tid, demandCores }): Competitor[] => {
      const job = this.#looseJobs.get(tid);
      if (demandCores < (job === undefined ? MIN_DEMAND_CORES : Number.MIN_VALUE)) return [];
      const scheduling = readThreadScheduling(this.#host, tid);
      if (scheduling === undefined) return [];
      const weight = weightOf(scheduling);
      if (job === undefined) return [{ weight, demandCores }];
      const known = ofJobs.get(job.name) ?? { demandCores: 0, ran: 0 };
      const sum = { demandCores: known.demandCores + demandCores, ran: known.ran + 1 };
      ofJobs.set(job.name, { ...job, weight, ...sum });
      return [];
    });
    const jobs = [...ofJobs.values()].map(({ name, weight, demandCores, cpus, ran, isJob }): Competitor => {
      const atOnce = Math.ceil(demandCores);
      const demand = Math.min(atOnce, cpus ?? atOnce);
      return { name, weight: weight * atOnce, demandCores: demand, ...(!isJob && { ran }) };
    });
    return [...jobs, ...others];
  }

  /** The threads of an autogroup compete as one with what is beside it. */
  #byAutogroup(
    root: string,
    demands: readonly Demand[],
  ): { threads: Competitor[]; autogroups: ShareGroup[] } {
    const groups = new Map<string, { weight: number; demands: Demand[] }>();
    const others: Demand[] = [];
    for (const demand of demands) {
      const { tid, demandCores } = demand;
      if (demandCores < MIN_DEMAND_CORES && !this.#looseJobs.has(tid)) continue;
      const autogroup = readAutogroup(this.#host, tid);
      if (autogroup === undefined) others.push(demand);
      else {
        const known = groups.get(autogroup.name)?.demands ?? [];
        groups.set(autogroup.name, { weight: weightOfNice(autogroup.nice), demands: [...known, demand] });
      }
    }
    const autogroups = [...groups].map(([name, { weight, demands: own }]): ShareGroup => {
      const threads = this.#competitors(own);
      return { path: `${root}${name}`, ...ROOT, weight, isAutogroup: true, threads, children: [] };
    });
    return { threads: this.#competitors(others), autogroups };
  }
}

function weightOf({ policy, nice }: ThreadScheduling): number {
  return policy === "realtime" ? REALTIME_WEIGHT : policy === "idle" ? IDLE_WEIGHT : weightOfNice(nice);
}

/** Neighboring nice levels differ by a factor of 1.25. Source: sched_prio_to_weight, kernel/sched/core.c. */
function weightOfNice(nice: number): number {
  return 100 * 1.25 ** -nice;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
