import { parseCpuList } from "./cpuList.ts";
import { IO_RATES, type IoMax, type Limits } from "./limits.ts";
import type { CgroupLimitName } from "./table.ts";

/** Those of the limits that are named. */
export function pickLimits(limits: Limits, names: readonly CgroupLimitName[]): Limits {
  return Object.fromEntries(
    names.flatMap((name) => {
      const field = FIELDS[name];
      return limits[field] === undefined ? [] : [[field, limits[field]]];
    }),
  );
}

/** The tighter of both for each limit; of weights, which have no order between cgroups, the first. */
export function tightest(a: Limits, b: Limits): Limits {
  const result: Limits = { ...b, ...a };
  if (a.cpuMax && b.cpuMax) result.cpuMax = coresOf(a) <= coresOf(b) ? a.cpuMax : b.cpuMax;
  for (const field of ["memoryHighBytes", "memoryMaxBytes", "pidsMax"] as const) {
    if (a[field] !== undefined && b[field] !== undefined) result[field] = Math.min(a[field], b[field]);
  }
  if (a.cpus !== undefined && b.cpus !== undefined) result.cpus = commonCpus(a.cpus, b.cpus);
  if (a.ioMax && b.ioMax) result.ioMax = tightestRates(a.ioMax, b.ioMax);
  return result;
}

/** Whether what is held keeps a process at least as tight as what is wanted. A weight has to be the wanted one. */
export function isAsTight(limit: CgroupLimitName, held: Limits, wanted: Limits): boolean {
  switch (limit) {
    case "cpu.max":
      return coresOf(held) <= coresOf(wanted);
    case "cpu.weight":
      return held.cpuWeight === wanted.cpuWeight;
    case "memory.high":
      return isAtMost(held.memoryHighBytes, wanted.memoryHighBytes);
    case "memory.max":
      return isAtMost(held.memoryMaxBytes, wanted.memoryMaxBytes);
    case "pids.max":
      return isAtMost(held.pidsMax, wanted.pidsMax);
    case "cpuset.cpus": {
      const allowed = parseCpuList(wanted.cpus ?? "");
      return parseCpuList(held.cpus ?? "")?.every((cpu) => allowed?.includes(cpu)) ?? false;
    }
    case "io.max":
      return (wanted.ioMax ?? []).every((max) => {
        const line = held.ioMax?.find(({ device }) => device === max.device);
        return IO_RATES.every((rate) => isAtMost(toNumber(line?.[rate]), toNumber(max[rate])));
      });
  }
}

const FIELDS = {
  "cpu.max": "cpuMax",
  "cpu.weight": "cpuWeight",
  "memory.high": "memoryHighBytes",
  "memory.max": "memoryMaxBytes",
  "io.max": "ioMax",
  "pids.max": "pidsMax",
  "cpuset.cpus": "cpus",
} as const satisfies Record<CgroupLimitName, keyof Limits>;

function coresOf({ cpuMax }: Limits): number {
  if (!cpuMax || cpuMax.quotaUsec === "max") return Number.POSITIVE_INFINITY;
  return cpuMax.quotaUsec / cpuMax.periodUsec;
}

/** An absent number is no limit. */
function isAtMost(held = Number.POSITIVE_INFINITY, wanted = Number.POSITIVE_INFINITY): boolean {
  return held <= wanted;
}

function toNumber(rate: number | "max" | undefined): number | undefined {
  return rate === "max" ? undefined : rate;
}

/** Two lists with nothing in common leave no CPU, which no cgroup has: the first counts then. */
function commonCpus(a: string, b: string): string {
  const own = parseCpuList(a) ?? [];
  const others = parseCpuList(b) ?? [];
  const common = own.filter((cpu) => others.includes(cpu));
  return common.length === 0 || common.length === own.length ? a : common.join();
}

function tightestRates(a: IoMax[], b: IoMax[]): IoMax[] {
  const devices = new Set([...a, ...b].map(({ device }) => device));
  return [...devices].map((device) => {
    const lines = [...a, ...b].filter((line) => line.device === device);
    const rates = IO_RATES.flatMap((rate) => {
      const values = lines.map((line) => toNumber(line[rate])).filter((value) => value !== undefined);
      return values.length === 0 ? [] : [[rate, Math.min(...values)]];
    });
    return { device, ...Object.fromEntries(rates) };
  });
}
