/** The resources that a job has used, or a cgroup has counted. `null` is unknown. */
export interface Usage {
  cpuUserUsec: number | null;
  cpuSystemUsec: number | null;
  /** Time during which the CPU quota stopped runnable threads. */
  throttledUsec: number | null;
  memoryPeakBytes: number | null;
  /** The number of allocations that reached the cgroup's own hard memory limit. */
  memoryMaxHits: number | null;
  /** Processes of this cgroup that the kernel's OOM killer ended. */
  oomKills: number | null;
  ioReadBytes: number | null;
  ioWriteBytes: number | null;
  /** Time in which at least one thread waited for a CPU (pressure stall information, `some`). */
  cpuPressureUsec: number | null;
  /** Time in which at least one thread waited for memory: for reclaim, for swap, at memory.high. */
  memoryPressureUsec: number | null;
  /** Time in which at least one thread waited for a disk, or at io.max. */
  ioPressureUsec: number | null;
}

export const UNKNOWN_USAGE: Usage = {
  cpuUserUsec: null,
  cpuSystemUsec: null,
  throttledUsec: null,
  memoryPeakBytes: null,
  memoryMaxHits: null,
  oomKills: null,
  ioReadBytes: null,
  ioWriteBytes: null,
  cpuPressureUsec: null,
  memoryPressureUsec: null,
  ioPressureUsec: null,
};

const FIELDS = Object.keys(UNKNOWN_USAGE) as (keyof Usage)[];

/** Adds the usage of two cgroups that a workload was in, one after the other. A field unknown in one is unknown in the sum. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum = (field: keyof Usage): number | null => {
    const [x, y] = [a[field], b[field]];
    if (x === null || y === null) return null;
    return field === "memoryPeakBytes" ? Math.max(x, y) : x + y;
  };
  return Object.fromEntries(FIELDS.map((field) => [field, sum(field)])) as unknown as Usage;
}

/** Returns the sum so far, with these fields unknown. */
export function withUnknown(usage: Usage | null, fields: readonly (keyof Usage)[]): Usage {
  const nothing = Object.fromEntries(FIELDS.map((field) => [field, 0])) as unknown as Usage;
  return { ...(usage ?? nothing), ...Object.fromEntries(fields.map((field) => [field, null])) };
}

/**
 * Returns the usage between two readings of the same cgroup. A counter that was missing at the first started at zero
 * after it. A counter that has decreased was reset in between, and is unknown. A peak is known only where it has risen:
 * otherwise it is from before the first reading.
 */
export function usageSince(before: Usage, now: Usage): Usage {
  const difference = (field: keyof Usage): number | null => {
    const [earlier, later] = [before[field], now[field]];
    if (earlier === null || later === null) return later;
    if (field === "memoryPeakBytes") return later > earlier ? later : null;
    return later >= earlier ? later - earlier : null;
  };
  return Object.fromEntries(FIELDS.map((field) => [field, difference(field)])) as unknown as Usage;
}
