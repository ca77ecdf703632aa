/** The resources that a job has used, or a cgroup has counted. `null` is unknown. */
export type Usage = Record<keyof typeof NOTHING_KNOWN, number | null>;

const NOTHING_KNOWN = {
  cpuUserUsec: null,
  cpuSystemUsec: null,
  /** Time during which the CPU quota stopped runnable threads. */
  throttledUsec: null,
  memoryPeakBytes: null,
  /** The number of allocations that reached the cgroup's own hard memory limit. */
  memoryMaxHits: null,
  /** Processes of this cgroup that the kernel's OOM killer ended. */
  oomKills: null,
  ioReadBytes: null,
  ioWriteBytes: null,
  /** Time in which at least one thread waited for a CPU (pressure stall information, `some`). */
  cpuPressureUsec: null,
  /** Time in which at least one thread waited for memory: for reclaim, for swap, at memory.high. */
  memoryPressureUsec: null,
  /** Time in which at least one thread waited for a disk, or at io.max. */
  ioPressureUsec: null,
};

export const UNKNOWN_USAGE: Usage = NOTHING_KNOWN;

/** Returns the fields that are known. */
export function knownOnly(usage: Usage): Partial<Usage> {
  const known: Partial<Usage> = {};
  // Not by Object.keys, whose list takes the end of a launch a block of the heap.
  for (const name in usage) {
    const field = name as keyof Usage;
    if (usage[field] !== null) known[field] = usage[field];
  }
  return known;
}

/** Adds the usage of two cgroups that a workload was in, one after the other. A field unknown in one is unknown in the sum. */
export function addUsage(a: Usage, b: Usage): Usage {
  return mapFields((field) => {
    const [x, y] = [a[field], b[field]];
    if (x === null || y === null) return null;
    return field === "memoryPeakBytes" ? Math.max(x, y) : x + y;
  });
}

/** Returns the sum so far, with these fields unknown. */
export function withUnknown(usage: Usage | null, fields: readonly (keyof Usage)[]): Usage {
  return { ...(usage ?? mapFields(() => 0)), ...Object.fromEntries(fields.map((field) => [field, null])) };
}

/**
 * Returns the usage between two readings of the same cgroup. A counter that was missing at the first started at zero
 * after it. A counter that has decreased was reset in between, and is unknown. A peak is known only where it has risen:
 * otherwise it is from before the first reading.
 */
export function usageSince(before: Usage, now: Usage): Usage {
  return mapFields((field) => {
    const [earlier, later] = [before[field], now[field]];
    if (earlier === null || later === null) return later;
    if (field === "memoryPeakBytes") return later > earlier ? later : null;
    return later >= earlier ? later - earlier : null;
  });
}

function mapFields(toValue: (field: keyof Usage) => number | null): Usage {
  const fields = Object.keys(UNKNOWN_USAGE) as (keyof Usage)[];
  return Object.fromEntries(fields.map((field) => [field, toValue(field)])) as Usage;
}
