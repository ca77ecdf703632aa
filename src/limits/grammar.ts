import { parseCpuList } from "./cpuList.ts";
import { type CpuMax, IO_RATES, type IoMax, type IoPriority } from "./limits.ts";
import { parseRate, ValueFault } from "./units.ts";

/** The kernel's default: sched-bwc.rst. */
const PERIOD_USEC = 100_000;
/** The kernel takes no quota below 1 ms. */
const LEAST_QUOTA_USEC = 1000;
const MOST_CORES = 8192;

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

/** One way to write a value, for options and policy files alike. */
export interface Spelling {
  /** What options call such a value: the placeholder of `--memory-max <size>`. */
  value: "percent" | "size" | "rate" | "list" | "time";
  examples: string[];
  meaning: string;
}

/** What help, manuals and docs/policy.md say of the parsers here and in units.ts. Those of one kind follow each other. */
export const SPELLINGS: Spelling[] = [
  {
    value: "percent",
    examples: ["150", "150%", "1.5 cores"],
    meaning: "of CPU time, 100 being all that one core has",
  },
  {
    value: "size",
    examples: ["512M", "512MiB", "1.5G"],
    meaning: "K, M, G, T and KiB, MiB, GiB, TiB count in 1024",
  },
  { value: "size", examples: ["500kB", "2GB"], meaning: "kB, MB, GB, TB count in 1000" },
  {
    value: "size",
    examples: ["2048"],
    meaning: "a bare number: MiB for the soft memory limit, bytes elsewhere",
  },
  {
    value: "rate",
    examples: ["50MB/s", "10M", "500/s", "500", "max"],
    meaning: "each second: bytes (rbps, wbps) or operations (riops, wiops)",
  },
  { value: "list", examples: ["0-3,8"], meaning: "numbers of CPUs and spans of them" },
  {
    value: "time",
    examples: ["500ms", "5s", "1m30s", "24h", "7d"],
    meaning: "a bare number is seconds",
  },
];

/** Those of the kinds that options with these placeholders take. */
export function spellingsOf(placeholders: readonly string[]): Spelling[] {
  return SPELLINGS.filter(({ value }) => placeholders.some((name) => name.endsWith(value)));
}
