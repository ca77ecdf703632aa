/** Threads that compete inside a group, beside its child groups, each or several together as one entity. */
export interface Competitor {
  /** Names it in the shares; absent: its share is not asked for. */
  readonly name?: string;
  /** A thread of nice 0 has 100, the weight of a new cgroup. */
  readonly weight: number;
  /** The cores that it would use if it were alone: at most 1 for one thread. */
  readonly demandCores: number;
  /** The number of its threads that ran at all. Only known of a process that is no job yet. */
  readonly ran?: number;
}

/** A cgroup of the cpu controller. It competes as one entity with its siblings and with the threads beside it. */
export interface ShareGroup {
  readonly path: string;
  /** cpu.weight: 100 is that of a new cgroup. Not rounded, because cpu.shares of cgroup v1 are finer. */
  readonly weight: number;
  /** `null`: no quota of its own. */
  readonly quotaCores: number | null;
  /** The number of CPUs that its threads may run on. `null`: not known, or all. */
  readonly cpus: number | null;
  /** The threads of one session in the root cgroup, see sched(7). */
  readonly isAutogroup?: true;
  readonly threads: readonly Competitor[];
  readonly children: readonly ShareGroup[];
}

/**
 * Returns the cores that each group gets, by path, and each competitor with a name, by name, when everything uses all that it can. CFS and EEVDF divide the CPU time
 * at each level of the tree by weight; what an entity cannot use is divided again among the others. Nothing gets more than
 * its threads can use, than its quota, or than its CPUs. Assumes that the kernel balances threads over the CPUs well, and
 * that a group can use any of them.
 */
export function sharesOf(root: ShareGroup, cores: number): Map<string, number> {
  const shares = new Map<string, number>();
  const limits = new Map<ShareGroup, number>();
  limitOf(root, limits);
  const give = (group: ShareGroup, given: number): void => {
    shares.set(group.path, given);
    const { threads, children } = group;
    const entities = [
      ...children.map((child) => ({ weight: child.weight, limit: limits.get(child) ?? 0 })),
      ...threads.map(({ weight, demandCores }) => ({ weight, limit: demandCores })),
    ];
    const parts = divide(given, entities);
    children.forEach((child, index) => {
      give(child, parts[index] ?? 0);
    });
    threads.forEach(({ name }, index) => {
      const part = parts[children.length + index] ?? 0;
      // A process can have threads in several groups, as in several sessions.
      if (name !== undefined) shares.set(name, (shares.get(name) ?? 0) + part);
    });
  };
  give(root, Math.min(cores, limits.get(root) ?? 0));
  return shares;
}

/** Records the most that each group can use. */
function limitOf(group: ShareGroup, limits: Map<ShareGroup, number>): number {
  const { threads, children, quotaCores, cpus } = group;
  const demand =
    threads.reduce((sum, { demandCores }) => sum + demandCores, 0) +
    children.reduce((sum, child) => sum + limitOf(child, limits), 0);
  const limit = Math.min(demand, quotaCores ?? demand, cpus ?? demand);
  limits.set(group, limit);
  return limit;
}

interface Entity {
  readonly weight: number;
  readonly limit: number;
}

/**
 * Divides an amount by weight. The entities that want the least for their weight are served first: an entity that wants less than
 * its part gets what it wants, and the rest is divided among those that are left.
 */
function divide(amount: number, entities: readonly Entity[]): number[] {
  const order = entities.map((_, index) => index).sort((a, b) => levelOf(entities[a]) - levelOf(entities[b]));
  const parts: number[] = Array(entities.length).fill(0);
  // From the end, so that no rounding error of a subtraction is left for the last ones.
  const weights: number[] = [];
  for (const index of order.toReversed()) weights.push((weights.at(-1) ?? 0) + weightOf(entities[index]));
  let rest = amount;
  for (const index of order) {
    const { weight, limit } = entities[index] as Entity;
    const part = Math.min(limit, (rest * weight) / (weights.pop() as number));
    parts[index] = part;
    rest = Math.max(0, rest - part);
  }
  return parts;
}

/** The amount for each unit of weight at which an entity has all that it wants. */
function levelOf(entity: Entity | undefined): number {
  return entity === undefined ? 0 : entity.limit / entity.weight;
}

function weightOf(entity: Entity | undefined): number {
  return entity?.weight ?? 0;
}
