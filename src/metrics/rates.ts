import type { Counters, Details } from "../limits/counters.ts";
import type { ProcessUse } from "../linux/proc/resources.ts";

/** The counters of a job at one time. */
export interface Reading {
  /** CLOCK_BOOTTIME, ms. */
  readonly atBootMs: number;
  readonly counters: Counters;
  /** The use of each process, where no cgroup counts it: a process that ends takes its counters with it. */
  readonly processes?: readonly ProcessUse[];
}

/** The use of resources between two readings. `null` is unknown. */
export interface Rates {
  /** CPU time per time. 100 is one core. */
  readonly cpuPercent: number | null;
  /**
   * The part of the quota periods in which the CPU quota stopped the job, 0 to 100. 0 without a quota, and `null` where
   * no cgroup of the job counts periods. Source: nr_throttled
   * and nr_periods of cpu.stat. Throttled time would be summed over all CPUs.
   */
  readonly throttledPercent: number | null;
  readonly readBytesPerSecond: number | null;
  readonly writeBytesPerSecond: number | null;
  readonly pressure: Pressure;
  /**
   * The time that its threads waited for a CPU, per time: 100 is one thread that always waits. Only where no cgroup shows
   * the job's pressure.
   */
  readonly cpuWaitPercent: number | null;
}

/**
 * The parts of the time in which at least one thread of the job waited (`some`), or all that could have run (`full`), 0 to
 * 100. Source: Documentation/accounting/psi.rst.
 */
export interface Pressure {
  readonly cpuSomePercent: number | null;
  readonly memorySomePercent: number | null;
  readonly memoryFullPercent: number | null;
  readonly ioSomePercent: number | null;
  readonly ioFullPercent: number | null;
}

/** The counters that only grow. */
export type CountName = Exclude<keyof Counters, "memoryBytes">;

/** The increases of counters between two readings. `null` is unknown. */
export type Increases = Readonly<Record<CountName, number | null>>;

/** Returns what the cgroups, or without them the processes, of one job have counted between two readings. */
export function increasesBetween(before: Reading, now: Reading): Increases {
  const [a, b] = [before.counters, now.counters];
  const ofProcesses = (counter: "cpuUsec" | "ioReadBytes" | "ioWriteBytes") =>
    increaseByProcess(before, now, (process) => process[counter]);
  // By name: a key that is a variable is slow until the compiler has optimized this, which takes a daemon minutes.
  return {
    cpuUsec: increaseOf(a.cpuUsec, b.cpuUsec) ?? ofProcesses("cpuUsec"),
    quotaPeriods: increaseOf(a.quotaPeriods, b.quotaPeriods),
    throttledPeriods: increaseOf(a.throttledPeriods, b.throttledPeriods),
    ioReadBytes: increaseOf(a.ioReadBytes, b.ioReadBytes) ?? ofProcesses("ioReadBytes"),
    ioWriteBytes: increaseOf(a.ioWriteBytes, b.ioWriteBytes) ?? ofProcesses("ioWriteBytes"),
    cpuPressureUsec: increaseOf(a.cpuPressureUsec, b.cpuPressureUsec),
    memoryPressureUsec: increaseOf(a.memoryPressureUsec, b.memoryPressureUsec),
    memoryFullPressureUsec: increaseOf(a.memoryFullPressureUsec, b.memoryFullPressureUsec),
    ioPressureUsec: increaseOf(a.ioPressureUsec, b.ioPressureUsec),
    ioFullPressureUsec: increaseOf(a.ioFullPressureUsec, b.ioFullPressureUsec),
  };
}

/** Returns the rates between two readings of one job. All are unknown when no time has passed. */
export function ratesBetween(before: Reading, now: Reading): Rates {
  const elapsedMs = now.atBootMs - before.atBootMs;
  const waitedUsec = increaseOfWaits(before, now);
  return {
    ...ratesOf(increasesBetween(before, now), elapsedMs),
    cpuWaitPercent: waitedUsec === null || elapsedMs <= 0 ? null : waitedUsec / (10 * elapsedMs),
  };
}

/** Returns the rates of what was counted in a time. */
export function ratesOf(increases: Increases, elapsedMs: number): Omit<Rates, "cpuWaitPercent"> {
  const per = (amount: number | null, unitMs: number): number | null =>
    amount === null || elapsedMs <= 0 ? null : (amount * unitMs) / elapsedMs;
  /** `usec` in percent of the time: 1 % of 1 ms is 10 µs. */
  const percentOf = (usec: number | null): number | null => per(usec, 0.1);
  const shareOfTime = (usec: number | null): number | null => {
    const percent = percentOf(usec);
    // The kernel adds up the time of a CPU when it next has work there, so a part of an interval can count in the next.
    return percent === null ? null : Math.min(100, percent);
  };
  return {
    cpuPercent: percentOf(increases.cpuUsec),
    throttledPercent: share(increases.throttledPeriods, increases.quotaPeriods),
    readBytesPerSecond: per(increases.ioReadBytes, 1000),
    writeBytesPerSecond: per(increases.ioWriteBytes, 1000),
    pressure: {
      cpuSomePercent: shareOfTime(increases.cpuPressureUsec),
      memorySomePercent: shareOfTime(increases.memoryPressureUsec),
      memoryFullPercent: shareOfTime(increases.memoryFullPressureUsec),
      ioSomePercent: shareOfTime(increases.ioPressureUsec),
      ioFullPercent: shareOfTime(increases.ioFullPressureUsec),
    },
  };
}

/** The rates of counters that are read less often. `null` is unknown. */
export interface DetailRates {
  readonly majorFaultsPerSecond: number | null;
  readonly rereadBytesPerSecond: number | null;
  readonly readOperationsPerSecond: number | null;
  readonly writeOperationsPerSecond: number | null;
}

type TimedDetails = Details & { readonly atBootMs: number };

export function detailRatesBetween(before: TimedDetails, now: TimedDetails): DetailRates {
  const seconds = (now.atBootMs - before.atBootMs) / 1000;
  const perSecond = (counter: keyof Details): number | null => {
    const increase = increaseOf(before[counter], now[counter]);
    return increase === null || seconds <= 0 ? null : increase / seconds;
  };
  return {
    majorFaultsPerSecond: perSecond("majorFaults"),
    rereadBytesPerSecond: perSecond("rereadBytes"),
    readOperationsPerSecond: perSecond("ioReadOperations"),
    writeOperationsPerSecond: perSecond("ioWriteOperations"),
  };
}

export type SummedRates = Pick<Rates, "cpuPercent" | "readBytesPerSecond" | "writeBytesPerSecond">;

/** Returns the rates of several jobs together. A rate that is unknown for one job is unknown for all. */
export function sumRates(rates: readonly Rates[]): SummedRates {
  return {
    cpuPercent: sumKnown(rates.map(({ cpuPercent }) => cpuPercent)),
    readBytesPerSecond: sumKnown(rates.map(({ readBytesPerSecond }) => readBytesPerSecond)),
    writeBytesPerSecond: sumKnown(rates.map(({ writeBytesPerSecond }) => writeBytesPerSecond)),
  };
}

/** Returns a sum, `null` if a part of it is unknown or there is none. */
export function sumKnown(values: readonly (number | null)[]): number | null {
  if (values.length === 0) return null;
  return values.reduce((sum, value) => (sum === null || value === null ? null : sum + value));
}

/** A counter that decreased was reset in between, as when its cgroup was replaced: the increase is unknown. */
export function increaseOf(before: number | null, now: number | null): number | null {
  return before === null || now === null || now < before ? null : now - before;
}

/**
 * Adds what the processes have used that are in both readings, and all of those that started in between. A process that
 * joined the job in between counts from the next reading on. Unknown for one process is unknown for all.
 */
function increaseByProcess(
  before: Reading,
  now: Reading,
  usedBy: (process: ProcessUse) => number | null,
): number | null {
  if (before.processes === undefined || now.processes === undefined) return null;
  const earlier = new Map(before.processes.map((each) => [each.process, usedBy(each)]));
  const increases = now.processes.map((each) => {
    const used = usedBy(each);
    const isNew = each.startBootMs >= before.atBootMs;
    const known = earlier.get(each.process);
    const first = known === undefined ? (isNew ? 0 : used) : known;
    return used === null || first === null ? null : used - first;
  });
  return increases.length === 0 ? 0 : sumKnown(increases);
}

/** A thread that ends takes its time with it, so each thread counts by itself. A new one counts from its start. */
function increaseOfWaits(before: Reading, now: Reading): number | null {
  if (before.processes === undefined || now.processes === undefined) return null;
  const earlier = new Map(before.processes.map((each) => [each.process, each.waitedUsec]));
  let increase: number | null = null;
  for (const { process, startBootMs, waitedUsec } of now.processes) {
    const known = earlier.get(process) ?? (startBootMs >= before.atBootMs ? new Map() : waitedUsec);
    for (const [tid, usec] of waitedUsec) {
      const first = known.get(tid) ?? 0;
      increase = (increase ?? 0) + (usec >= first ? usec - first : usec);
    }
  }
  return increase;
}

function share(part: number | null, whole: number | null): number | null {
  if (part === null || whole === null) return null;
  return whole === 0 ? 0 : (100 * part) / whole;
}
