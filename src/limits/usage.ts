/** What a job has used, or a cgroup counted. `null`: nobody knows. */
export interface Usage {
  cpuUserUsec: number | null;
  cpuSystemUsec: number | null;
  /** Time during which runnable threads were held back by the CPU quota. */
  throttledUsec: number | null;
  memoryPeakBytes: number | null;
  /** How often an allocation ran into the cgroup's own hard memory limit. */
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

/** Of two cgroups that the same workload was in, one after the other. What one of them did not tell is unknown in the sum. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum = (field: keyof Usage): number | null => {
    const [x, y] = [a[field], b[field]];
    if (x === null || y === null) return null;
    return field === "memoryPeakBytes" ? Math.max(x, y) : x + y;
  };
  return Object.fromEntries(FIELDS.map((field) => [field, sum(field)])) as unknown as Usage;
}

/** A sum so far in which nobody knows these. */
export function withUnknown(usage: Usage | null, fields: readonly (keyof Usage)[]): Usage {
  const nothing = Object.fromEntries(FIELDS.map((field) => [field, 0])) as unknown as Usage;
  return { ...(usage ?? nothing), ...Object.fromEntries(fields.map((field) => [field, null])) };
}

/**
 * What was used between two readings of the same cgroup. A counter that was not there at the first has counted from
 * nothing since; one that has gone back was begun anew in between, and is unknown. A peak is known where it is higher than
 * before: else it is from before, and only how high it was at the most.
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
