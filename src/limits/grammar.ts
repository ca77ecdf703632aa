import { type LikelyMistake, parseRate, ValueFault } from "./units.ts";

/** The values of limits that are more than a number, and how each is written. Parsers throw ValueFault. */

/** CPU time per period, in µs. A quota of 100,000 in a period of 100,000 is one core. */
export interface CpuMax {
  quotaUsec: number | "max";
  periodUsec: number;
}

/** The kernel's default: sched-bwc.rst. */
const DEFAULT_PERIOD_USEC = 100_000;
/** The kernel rejects a quota below 1 ms. */
const MIN_QUOTA_USEC = 1000;
const MAX_CORES = 8192;

/** Parses percent of a core (`150`, `150%`) or cores (`1.5 cores`). */
export function parseCpuQuota(text: string): CpuMax {
  const match = /^(\d+(?:\.\d+)?) ?(%|cores?)?$/.exec(text);
  if (!match) throw new ValueFault("is not an amount of CPU time");
  const percent = Number(match[1]) * (match[2]?.startsWith("core") ? 100 : 1);
  if (percent < 1) throw new ValueFault("is less than the kernel's minimum of 1 percent of a core");
  if (percent > MAX_CORES * 100) throw new ValueFault(`is more than ${MAX_CORES} cores`);
  return { quotaUsec: Math.round((percent * DEFAULT_PERIOD_USEC) / 100), periodUsec: DEFAULT_PERIOD_USEC };
}

/** A bare number below this is rather a number of cores, as in Docker's `--cpus 1.5`, than percent of one core. */
const MIN_PLAUSIBLE_PERCENT = 5;

export function mistakeInCpuQuota(text: string): LikelyMistake | undefined {
  const number = Number(text);
  if (!/^[\d.]+$/.test(text) || !(number > 0) || number >= MIN_PLAUSIBLE_PERCENT) return undefined;
  return {
    message: `is ${number} % of one core`,
    right: `${coresAsPercent(number)} for ${number} cores, or ${number}% if that is meant`,
  };
}

function coresAsPercent(cores: number): number {
  return Math.round(cores * 1000) / 10;
}

/** Parses `QUOTA PERIOD` in µs, as in the kernel's cpu.max. */
export function parseCpuMax(text: string): CpuMax {
  const match = /^(max|\d+)(?:\s+(\d+))?$/.exec(text.trim());
  if (!match) throw new ValueFault("is not a quota with its period");
  const periodUsec = Number(match[2] ?? DEFAULT_PERIOD_USEC);
  if (periodUsec < 1000 || periodUsec > 1_000_000)
    throw new ValueFault("has a period outside 1000 to 1000000 µs");
  if (match[1] === "max") return { quotaUsec: "max", periodUsec };
  const quotaUsec = Number(match[1]);
  if (quotaUsec < MIN_QUOTA_USEC)
    throw new ValueFault(`has a quota below ${MIN_QUOTA_USEC} µs, which the kernel rejects`);
  if (quotaUsec > MAX_CORES * periodUsec) throw new ValueFault(`is more than ${MAX_CORES} cores`);
  return { quotaUsec, periodUsec };
}

export function formatCpuMax({ quotaUsec, periodUsec }: CpuMax): string {
  return `${quotaUsec} ${periodUsec}`;
}

/** The largest CPU number that a list may contain. Kernels are built for fewer (CONFIG_NR_CPUS). */
const MAX_CPU = 8191;

// 0-3,8
/** Returns the CPU numbers of a list, ascending; `undefined` where the kernel would reject the list. */
export function parseCpuList(text: string): number[] | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim());
    if (!match) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > MAX_CPU) return undefined;
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** Returns the text of a list as in cpuset.cpus: `0-3,8`. */
export function parseCpus(text: string): string {
  if (parseCpuList(text) !== undefined) return text;
  const isAmount = /^\d+\.\d+$/.test(text);
  const quota = `: a quota of ${coresAsPercent(Number(text))} (--cpu-quota, cpu_quota) gives ${text} cores of CPU time`;
  throw new ValueFault(`is not a list of CPU numbers${isAmount ? quota : ""}`);
}

/** Docker's `--cpus 2` is an amount. The same CPU as a range is no mistake. */
export function mistakeInCpus(text: string): LikelyMistake | undefined {
  if (!/^\d+$/.test(text) || Number(text) === 0) return undefined;
  return {
    message: `is the CPU with number ${text}, and no other`,
    right: `a quota of ${coresAsPercent(Number(text))} for ${text === "1" ? "1 core" : `${text} cores`} of CPU time, or ${text}-${text} if that CPU is meant`,
  };
}

/** Bytes per second, and operations per second. */
export const IO_RATES = ["rbps", "wbps", "riops", "wiops"] as const;
type IoRate = (typeof IO_RATES)[number];

/** Rates for one block device. An absent rate was not asked for. */
export interface IoMax extends Partial<Record<IoRate, number | "max">> {
  /** `major:minor` of a whole disk. */
  device: string;
}

export function unitOf(rate: IoRate): "bytes" | "operations" {
  return rate.endsWith("bps") ? "bytes" : "operations";
}

/** Parses `DEVICE rbps=… wiops=…`. The device may be missing on this machine. */
export function parseIoMax(text: string): IoMax {
  const [device = "", ...words] = text.trim().split(/\s+/);
  if (words.length === 0) throw new ValueFault("has no rate");
  const max: IoMax = { device };
  for (const word of words) {
    const at = word.indexOf("=");
    const name = IO_RATES.find((candidate) => candidate === word.slice(0, at));
    if (name === undefined)
      throw new ValueFault(`has ${JSON.stringify(word)}, which is none of ${IO_RATES.join("=, ")}=`);
    if (max[name] !== undefined) throw new ValueFault(`has ${name} twice`);
    max[name] = parseNamedRate(name, word.slice(at + 1));
  }
  return max;
}

function parseNamedRate(name: IoRate, text: string): number | "max" {
  try {
    return parseRate(text, unitOf(name));
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw new ValueFault(`has ${JSON.stringify(`${name}=${text}`)}, whose rate ${error.message}`);
  }
}

/** Returns `8:0 rbps=1048576 wiops=max`, with the rates in the kernel's order. */
export function formatIoMax(max: IoMax): string {
  const rates = IO_RATES.flatMap((rate) => (max[rate] === undefined ? [] : [`${rate}=${max[rate]}`]));
  return [max.device, ...rates].join(" ");
}

export interface IoPriority {
  class: "realtime" | "best-effort" | "idle";
  /** 0 (first) to 7 (last). Meaningless for `idle`. */
  level: number;
}

export function parseIonice(text: string): IoPriority {
  if (text === "idle") return { class: "idle", level: 0 };
  const match = /^(realtime|best-effort):([0-7])$/.exec(text);
  if (!match) throw new ValueFault("is not a disk priority class");
  return { class: match[1] as IoPriority["class"], level: Number(match[2]) };
}

export function formatIonice(priority: IoPriority): string {
  return priority.class === "idle" ? "idle" : `${priority.class}:${priority.level}`;
}
