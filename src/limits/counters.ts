/** The counters of a cgroup at one time, which grow until the cgroup is removed, and its memory. `null` is unknown. */
export type Counters = Record<keyof typeof NOTHING_COUNTED, number | null>;

const NOTHING_COUNTED = {
  /** CPU time, user and system. */
  cpuUsec: null,
  /** Periods of a CPU quota in which a thread of the cgroup could run. */
  quotaPeriods: null,
  /** Those of `quotaPeriods` in which the quota stopped the cgroup. */
  throttledPeriods: null,
  /** Memory that is charged to the cgroup, as memory.max counts it. No counter: it also falls. */
  memoryBytes: null,
  /** The part of `memoryBytes` that is page cache of files which were not used lately: the kernel can drop it. */
  inactiveFileBytes: null,
  ioReadBytes: null,
  ioWriteBytes: null,
};

export const UNKNOWN_COUNTERS: Counters = NOTHING_COUNTED;
