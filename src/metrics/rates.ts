import type { Counters } from "../limits/counters.ts";
import type { ProcessCpu } from "../linux/proc/resources.ts";

/** The counters of a job at one time. */
export interface Reading {
  /** CLOCK_BOOTTIME, ms. */
  readonly atBootMs: number;
  readonly counters: Counters;
  /** The CPU time of each process, where no cgroup counts it: a process that ends takes its time with it. */
  readonly processes?: readonly ProcessCpu[];
}

/** The use of resources between two readings. `null` is unknown. */
export interface Rates {
  /** CPU time per time. 100 is one core. */
  readonly cpuPercent: number | null;
  /**
   * The part of the quota periods in which the CPU quota stopped the job, 0 to 100. 0 without a quota. Source: nr_throttled
   * and nr_periods of cpu.stat. Throttled time would be summed over all CPUs.
   */
  readonly throttledPercent: number | null;
  readonly readBytesPerSecond: number | null;
  readonly writeBytesPerSecond: number | null;
}

/** Returns the rates between two readings of one job. All are unknown when no time has passed. */
export function ratesBetween(before: Reading, now: Reading): Rates {
  const seconds = (now.atBootMs - before.atBootMs) / 1000;
  const perSecond = (amount: number | null): number | null =>
    amount === null || seconds <= 0 ? null : amount / seconds;
  const increase = (counter: keyof Counters) => increaseOf(before.counters[counter], now.counters[counter]);
  const cpuUsec = increase("cpuUsec") ?? increaseByProcess(before, now);
  const cores = perSecond(cpuUsec === null ? null : cpuUsec / 1e6);
  return {
    cpuPercent: cores === null ? null : 100 * cores,
    throttledPercent: share(increase("throttledPeriods"), increase("quotaPeriods")),
    readBytesPerSecond: perSecond(increase("ioReadBytes")),
    writeBytesPerSecond: perSecond(increase("ioWriteBytes")),
  };
}

/** Returns the rates of several jobs together. A rate that is unknown for one job is unknown for all. */
export function sumRates(rates: readonly Rates[]): Omit<Rates, "throttledPercent"> {
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
function increaseOf(before: number | null, now: number | null): number | null {
  return before === null || now === null || now < before ? null : now - before;
}

/**
 * Adds the CPU time of the processes that are in both readings, and all of those that started in between. A process that
 * joined the job in between counts from the next reading on.
 */
function increaseByProcess(before: Reading, now: Reading): number | null {
  if (before.processes === undefined || now.processes === undefined) return null;
  const earlier = new Map(before.processes.map(({ process, cpuUsec }) => [process, cpuUsec]));
  return now.processes.reduce((sum, { process, startBootMs, cpuUsec }) => {
    const isNew = startBootMs >= before.atBootMs;
    return sum + cpuUsec - (earlier.get(process) ?? (isNew ? 0 : cpuUsec));
  }, 0);
}

function share(part: number | null, whole: number | null): number | null {
  if (part === null || whole === null) return null;
  return whole === 0 ? 0 : (100 * part) / whole;
}
