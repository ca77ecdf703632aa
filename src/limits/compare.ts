import { type CpuMax, IO_RATES, type IoMax, parseCpuList } from "./grammar.ts";

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

/** BFQ keeps 1 to 1,000 for a weight of 1 to 10,000: the least and the default are the same. As systemd does it. */
export function toBfqWeight(weight: number): number {
  return weight <= DEFAULT_WEIGHT ? weight : DEFAULT_WEIGHT + Math.floor((weight - DEFAULT_WEIGHT) / 11);
}

/** Returns the least weight that BFQ keeps as this one. */
export function fromBfqWeight(weight: number): number {
  return weight <= DEFAULT_WEIGHT ? weight : DEFAULT_WEIGHT + 11 * (weight - DEFAULT_WEIGHT);
}

/** A share of a contended disk. Weights that are one in BFQ are the same: it may be the only one that keeps them. */
export const DISK_WEIGHT: Comparison<number> = {
  ...WEIGHT,
  isAsTight: (current, wanted) => current !== undefined && toBfqWeight(current) === toBfqWeight(wanted),
};

/** cpu.idle: 1, or absent for a weight. */
export const IDLE: Comparison<number> = {
  isAsTight: (current, wanted) => current === wanted,
  tightest: (a) => a,
  isAtMost: (current = 0, wanted) => current >= wanted,
};

export const AMOUNT = comparisonBy((amount: number) => amount);

/** Compares the cores that a quota allows. */
export const CPU_TIME = comparisonBy(({ quotaUsec, periodUsec }: CpuMax) => toNumber(quotaUsec) / periodUsec);

function comparisonBy<T>(amountOf: (value: T) => number): Comparison<T> {
  return {
    isAsTight: (current, wanted) =>
      (current === undefined ? Number.POSITIVE_INFINITY : amountOf(current)) <= amountOf(wanted),
    tightest: (a, b) => (amountOf(a) <= amountOf(b) ? a : b),
  };
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
    const byDevice = Map.groupBy([...a, ...b], ({ device }) => device);
    return [...byDevice].map(([device, lines]) => {
      const rates = IO_RATES.map((rate) => [rate, Math.min(...lines.map((line) => toNumber(line[rate])))]);
      return { device, ...Object.fromEntries(rates.filter(([, value]) => Number.isFinite(value))) };
    });
  },
};

function toNumber(rate: number | "max" = "max"): number {
  return rate === "max" ? Number.POSITIVE_INFINITY : rate;
}
