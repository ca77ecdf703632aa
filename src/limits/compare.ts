import { parseCpuList } from "./cpuList.ts";
import { type CpuMax, IO_RATES, type IoMax } from "./grammar.ts";

/** Compares two values of one limit. An absent value is no limit. */
export interface Comparison<T> {
  /** Returns whether `current` restricts a process at least as much as `wanted`. */
  isAsTight(current: T | undefined, wanted: T): boolean;
  /** Returns a value that restricts as much as both. */
  tightest(a: T, b: T): T;
  /** Weights only: returns whether `current`, or the kernel's default, gives no more than `wanted`. */
  isAtMost?(current: T | undefined, wanted: T): boolean;
}

/** The weight of an untouched cgroup, and roughly of processes where the controller is off. */
const DEFAULT_WEIGHT = 100;

/** A share of what is contended. Weights of different cgroups have no order: the first of two is kept. */
export const WEIGHT: Comparison<number> = {
  isAsTight: (current, wanted) => current === wanted,
  tightest: (a) => a,
  isAtMost: (current = DEFAULT_WEIGHT, wanted) => current <= wanted,
};

export const AMOUNT: Comparison<number> = {
  isAsTight: (current = Number.POSITIVE_INFINITY, wanted) => current <= wanted,
  tightest: (a, b) => Math.min(a, b),
};

export const CPU_TIME: Comparison<CpuMax> = {
  isAsTight: (current, wanted) => coresOf(current) <= coresOf(wanted),
  tightest: (a, b) => (coresOf(a) <= coresOf(b) ? a : b),
};

function coresOf(max: CpuMax | undefined): number {
  if (!max || max.quotaUsec === "max") return Number.POSITIVE_INFINITY;
  return max.quotaUsec / max.periodUsec;
}

export const CPU_LIST: Comparison<string> = {
  isAsTight(current = "", wanted) {
    const allowed = parseCpuList(wanted);
    return parseCpuList(current)?.every((cpu) => allowed?.includes(cpu)) ?? false;
  },
  // Two lists with nothing in common would leave no CPU, which no cgroup has: the first counts then.
  tightest(a, b) {
    const own = parseCpuList(a) ?? [];
    const others = parseCpuList(b) ?? [];
    const common = own.filter((cpu) => others.includes(cpu));
    return common.length === 0 || common.length === own.length ? a : common.join();
  },
};

export const DEVICE_RATES: Comparison<IoMax[]> = {
  isAsTight: (current, wanted) =>
    wanted.every((max) => {
      const line = current?.find(({ device }) => device === max.device);
      return IO_RATES.every((rate) => toNumber(line?.[rate]) <= toNumber(max[rate]));
    }),
  tightest(a, b) {
    const lines = [...a, ...b];
    return [...new Set(lines.map(({ device }) => device))].map((device) => {
      const max: IoMax = { device };
      for (const rate of IO_RATES) {
        const value = Math.min(
          ...lines.filter((line) => line.device === device).map((line) => toNumber(line[rate])),
        );
        if (Number.isFinite(value)) max[rate] = value;
      }
      return max;
    });
  },
};

function toNumber(rate: number | "max" = "max"): number {
  return rate === "max" ? Number.POSITIVE_INFINITY : rate;
}
