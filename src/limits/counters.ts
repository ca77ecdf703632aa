/** The counters of a cgroup at one time, which grow until the cgroup is removed, and its memory. `null` is unknown. */
export type Counters = Record<keyof typeof NOTHING_COUNTED, number | null>;

const NOTHING_COUNTED = {
  /** CPU time, user and system. */
  cpuUsec: null,
  /** Periods of a CPU quota in which a thread of the cgroup could run. */
  quotaPeriods: null,
  /** The part of `quotaPeriods` in which the quota stopped the cgroup. */
  throttledPeriods: null,
  /** Memory that is charged to the cgroup, as memory.max counts it. No counter: it also falls. */
  memoryBytes: null,
  ioReadBytes: null,
  ioWriteBytes: null,
  /** Time in which at least one thread waited for a CPU (pressure stall information, `some`). */
  cpuPressureUsec: null,
  /** Time in which at least one thread waited for memory. */
  memoryPressureUsec: null,
  /** Time in which all threads that could have run waited for memory (`full`). */
  memoryFullPressureUsec: null,
  /** Time in which at least one thread waited for a disk, or at io.max. */
  ioPressureUsec: null,
  ioFullPressureUsec: null,
};

export const UNKNOWN_COUNTERS: Counters = NOTHING_COUNTED;

/** The counters of a cgroup that are read less often: they take longer to read, or change slowly. `null` is unknown. */
export type Details = Record<keyof typeof NO_DETAILS, number | null>;

const NO_DETAILS = {
  /** The part of the charged memory that is page cache of files which were not used lately: the kernel can drop it. */
  inactiveFileBytes: null,
  /** Charged memory that is in no file: heaps and stacks. */
  anonymousBytes: null,
  /** Charged page cache, tmpfs included. */
  fileBytes: null,
  /** Page faults that waited for a disk. */
  majorFaults: null,
  /** Bytes that were read from a disk again because the kernel had dropped them from memory for lack of room. */
  rereadBytes: null,
  memoryPeakBytes: null,
  /** Processes that the kernel's OOM killer ended. */
  oomKills: null,
  /** Processes and threads. */
  taskCount: null,
  ioReadOperations: null,
  ioWriteOperations: null,
};

export const UNKNOWN_DETAILS: Details = NO_DETAILS;
