/** A job whose share of the CPU has a meaning beside those of other jobs. */
export interface SharingJob {
  key: string;
  isLive: boolean;
  /** `Hierarchy.key`. */
  hierarchy: string;
  /** The cgroup that has the job's weight. */
  path: string;
  /** In the units of cgroup v2. */
  weight: number;
}

/** A cgroup of an owner that gets the weight of the batch jobs in it, because it holds nothing else. */
export interface Gate {
  hierarchy: string;
  path: string;
  weight: number;
  /** The jobs that it is written for. */
  keys: string[];
  /** The cgroup beside it that leads to a live job. */
  rival: string;
}

/** A cgroup that competes with live jobs by a weight which is not the batch job's. */
export interface ClosedGate {
  path: string;
  /** The cgroup beside it that leads to the live job. */
  rival: string;
  /** Why it has another weight. Absent: it holds others. */
  because?: string;
}

export interface GatePlan {
  gates: Gate[];
  /** By the key of the batch job. */
  closed: Map<string, ClosedGate[]>;
}

/**
 * Finds the cgroups in which the weights of batch jobs must stand to count against live jobs. Between two jobs, weights count
 * only at the children of their lowest common cgroup: the child on the side of the batch job is its gate. A gate that holds
 * anything but batch jobs is closed, and not written.
 */
export function planGates(
  jobs: readonly SharingJob[],
  holdsOthers: (gate: string, batch: ReadonlySet<string>) => boolean,
): GatePlan {
  const gates = new Map<string, Gate>();
  const closed = new Map<string, ClosedGate[]>();
  const batch = jobs.filter(({ isLive }) => !isLive);
  const paths = new Set(batch.map(({ path }) => path));
  const isClosed = new Map<string, boolean>();
  for (const job of batch) {
    for (const { path, rival } of gatesOf(job, jobs)) {
      const others = isClosed.get(path) ?? holdsOthers(path, paths);
      isClosed.set(path, others);
      if (others) {
        closed.set(job.key, [...(closed.get(job.key) ?? []), { path, rival }]);
        continue;
      }
      const { weight = 0, keys = [] } = gates.get(path) ?? {};
      // Take the highest of different weights: a gate must not take from a job what its owner has given it.
      const together = { weight: Math.max(weight, job.weight), keys: [...keys, job.key] };
      gates.set(path, { hierarchy: job.hierarchy, path, rival, ...together });
    }
  }
  return { gates: [...gates.values()], closed };
}

/** Returns each gate of a batch job once, with the rival of the first live job that it is there for. */
function gatesOf(job: SharingJob, jobs: readonly SharingJob[]): ClosedGate[] {
  const found = new Map<string, ClosedGate>();
  for (const live of jobs) {
    if (!live.isLive || live.hierarchy !== job.hierarchy) continue;
    const [path, rival] = childrenOfCommon(job.path, live.path);
    // Its own weight counts there. A job that contains the other one is no rival of it.
    if (path === undefined || rival === undefined || path === job.path || found.has(path)) continue;
    found.set(path, { path, rival });
  }
  return [...found.values()];
}

/** Returns the children of the lowest common cgroup of two; `undefined` for one that is that cgroup itself. */
function childrenOfCommon(a: string, b: string): [string | undefined, string | undefined] {
  const [as, bs] = [a.split("/"), b.split("/")];
  let common = 0;
  while (common < as.length && common < bs.length && as[common] === bs[common]) common++;
  const childOf = (parts: string[]) =>
    common < parts.length ? parts.slice(0, common + 1).join("/") : undefined;
  return [childOf(as), childOf(bs)];
}
