import { type CpuMax, IO_RATES, type IoMax, type IoPriority } from "../limits/limits.ts";
import { parseCpuList } from "../linux/cgroup/cpuList.ts";

/** Parsers of single values, for options and policy files alike. They throw ValueFault. */

/** A value that does not do; the message continues a sentence that begins with the value. */
export class ValueFault extends Error {}

const FACTORS: Record<string, number> = { k: 1, m: 2, g: 3, t: 4 };
export const MEBIBYTE = 1024 ** 2;
/** The kernel's default: sched-bwc.rst. */
const PERIOD_USEC = 100_000;
/** The kernel takes no quota below 1 ms. */
const LEAST_QUOTA_USEC = 1000;
const MOST_CORES = 8192;
/** Below it nothing can even start, and the kernel would kill what tries. */
const SMALLEST_MEMORY_BYTES = MEBIBYTE;

/**
 * Bytes: `K`, `M`, `G`, `T` and `KiB`, `MiB`, … count in 1024, as the kernel does; `kB`, `MB`, `GB`, `TB` in 1000.
 * A bare number counts in `unitBytes`.
 */
export function parseBytes(text: string, unitBytes: number): number {
  const match = /^(\d+(?:\.\d+)?) ?(?:B|([KMGTkmgt])(iB|B)?)?$/.exec(text);
  if (!match) throw new ValueFault("is no size");
  const [, number, letter, suffix] = match as unknown as [string, string, string?, string?];
  const base = suffix === "B" ? 1000 : 1024;
  const isBare = letter === undefined && !text.endsWith("B");
  const factor = isBare ? unitBytes : base ** (FACTORS[letter?.toLowerCase() ?? ""] ?? 0);
  const bytes = Math.round(Number(number) * factor);
  if (!Number.isSafeInteger(bytes)) throw new ValueFault("is more than can be counted");
  return bytes;
}

export function parseMemory(text: string, unitBytes: number): number {
  const bytes = parseBytes(text, unitBytes);
  if (bytes < SMALLEST_MEMORY_BYTES) {
    const unit = unitBytes === 1 && /\d$/.test(text) ? " (a number without a unit counts bytes here)" : "";
    throw new ValueFault(`is less than 1 MiB, in which nothing can start${unit}`);
  }
  return bytes;
}

/** Percent of a core (`150`, `150%`) or cores (`1.5 cores`). */
export function parseCpuQuota(text: string): CpuMax {
  const match = /^(\d+(?:\.\d+)?) ?(%|cores?)?$/.exec(text);
  if (!match) throw new ValueFault("is no CPU time");
  const percent = Number(match[1]) * (match[2]?.startsWith("core") ? 100 : 1);
  if (percent < 1) throw new ValueFault("is less than the kernel takes, which is 1 percent of a core");
  if (percent > MOST_CORES * 100) throw new ValueFault(`is more than ${MOST_CORES} cores`);
  return { quotaUsec: Math.round((percent * PERIOD_USEC) / 100), periodUsec: PERIOD_USEC };
}

/** `QUOTA PERIOD` in µs. */
export function parseCpuMax(text: string): CpuMax {
  const match = /^(max|\d+)(?:\s+(\d+))?$/.exec(text.trim());
  if (!match) throw new ValueFault("is no quota with its period");
  const periodUsec = Number(match[2] ?? PERIOD_USEC);
  if (periodUsec < 1000 || periodUsec > 1_000_000)
    throw new ValueFault("has a period outside of 1000 to 1000000 µs");
  if (match[1] === "max") return { quotaUsec: "max", periodUsec };
  const quotaUsec = Number(match[1]);
  if (quotaUsec < LEAST_QUOTA_USEC)
    throw new ValueFault("has a quota below 1000 µs, which the kernel refuses");
  if (quotaUsec > MOST_CORES * periodUsec) throw new ValueFault(`is more than ${MOST_CORES} cores`);
  return { quotaUsec, periodUsec };
}

export function parseWhole(text: string, least: number, most: number): number {
  if (!/^[+-]?\d+$/.test(text)) throw new ValueFault("is no whole number");
  const number = Number(text);
  if (number < least) throw new ValueFault(`is less than ${least}`);
  if (number > most) throw new ValueFault(`is more than ${most}`);
  return number;
}

export function parseCpus(text: string): string {
  if (parseCpuList(text) === undefined) throw new ValueFault("is no list of CPU numbers");
  return text;
}

export function parseIonice(text: string): IoPriority {
  const match = /^(idle)$|^(realtime|best-effort):([0-7])$/.exec(text);
  if (!match) throw new ValueFault("is no class of disk priority");
  if (match[1]) return { class: "idle", level: 0 };
  return { class: match[2] as IoPriority["class"], level: Number(match[3]) };
}

/** `DEVICE rbps=… wiops=…`; whether the device is there is not looked at. */
export function parseIoMax(text: string): IoMax {
  const [device = "", ...words] = text.trim().split(/\s+/);
  if (words.length === 0) throw new ValueFault("names no rate");
  const max: IoMax = { device };
  for (const word of words) {
    const at = word.indexOf("=");
    const name = IO_RATES.find((candidate) => candidate === word.slice(0, at));
    if (name === undefined)
      throw new ValueFault(`holds ${JSON.stringify(word)}, which is none of ${IO_RATES.join("=, ")}=`);
    if (max[name] !== undefined) throw new ValueFault(`names ${name} twice`);
    max[name] = parseNamedRate(name, word.slice(at + 1));
  }
  return max;
}

function parseNamedRate(name: (typeof IO_RATES)[number], text: string): number | "max" {
  try {
    return parseRate(text, name.endsWith("bps") ? "bytes" : "operations");
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw new ValueFault(`holds ${JSON.stringify(`${name}=${text}`)}, whose rate ${error.message}`);
  }
}

/** Bytes or operations per second: `50MB/s`, `500/s`, `500`, `max`. */
export function parseRate(text: string, counts: "bytes" | "operations"): number | "max" {
  if (text === "max") return "max";
  const amount = text.replace(/ ?\/ ?s$/, "");
  const isPlain = /^\d+(?:\.\d+)?[KMGTkmgt]?$/.test(amount);
  if (counts === "operations" && !isPlain) throw new ValueFault("is no number of operations per second");
  const rate = parseBytes(amount, 1);
  if (rate < 1) throw new ValueFault("would stop the workload, and the kernel does not take it");
  return rate;
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `5s`, `500ms`, `1m30s`, `24h`, `7d`; a bare number is seconds. Returns ms. */
export function parseDuration(text: string): number {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) throw new ValueFault("is no time");
  let ms = 0;
  for (const [, number, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    ms += Number(number) * (UNITS_MS[unit] as number);
  }
  return Math.round(ms);
}

const LEAST_SCAN_INTERVAL_MS = 100;
const MOST_SCAN_INTERVAL_MS = 86_400_000;

/** ms. */
export function parseScanInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms < LEAST_SCAN_INTERVAL_MS || ms > MOST_SCAN_INTERVAL_MS)
    throw new ValueFault("is not between 100ms and 24h");
  return ms;
}
