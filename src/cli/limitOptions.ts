import { type Command, InvalidArgumentError, Option } from "commander";
import { findWholeDisk } from "../kernel/blockDevice.ts";
import { parseCpuList } from "../kernel/cgroup/cpuList.ts";
import { type CpuMax, IO_RATES, type IoMax, type IoPriority, type Limits } from "../kernel/limits.ts";
import { parseInteger, parseNumber, parseSize } from "./values.ts";

/** What commander collects from the limit options. */
export interface LimitFlags {
  cpuQuota?: CpuMax;
  cpuMax?: CpuMax;
  cpuWeight?: number;
  memoryLimit?: number;
  memoryMax?: number;
  ioMax?: IoMax[];
  pidsMax?: number;
  cpus?: string;
  nice?: number;
  ionice?: IoPriority;
  oomScoreAdj?: number;
}

const MEBIBYTE = 1024 ** 2;
/** The kernel's default: sched-bwc.rst. */
const PERIOD_USEC = 100_000;
/** Below it nothing can even start, and the kernel would kill what tries. */
const SMALLEST_MEMORY_BYTES = MEBIBYTE;
const MOST_CORES = 8192;

/** The limits that every governed job may have; `watch` gives them to each job it finds. */
export function addLimitOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--cpu-quota <percent>", "CPU time, 100 = one core")
        .argParser(parseCpuQuota)
        .conflicts("cpuMax"),
    )
    .option("--cpu-max <quota period>", 'CPU time per period in µs, e.g. "50000 100000"', parseCpuMax)
    .option("--cpu-weight <weight>", "share of contended CPU, 1-10000, 100 is usual", (text) =>
      parseInteger(text, 1, 10_000),
    )
    .option("--memory-limit <MB>", "soft: reclaims and slows above it, never kills", parseMegabytes)
    .option("--memory-max <bytes>", "hard: the kernel may kill inside the job at it (K, M, G)", (text) =>
      parseSize(text, SMALLEST_MEMORY_BYTES),
    )
    .option(
      "--io-max <limit>",
      'e.g. "8:0 rbps=10M wiops=500" or a path for the disk; repeatable',
      collectIoMax,
    )
    .option("--pids-max <n>", "processes and threads", (text) => parseInteger(text, 1, 4_194_304))
    .option("--cpus <list>", "CPUs to run on, e.g. 0-3,8", parseCpus)
    .option("--nice <n>", "-20 (favoured) to 19", (text) => parseInteger(text, -20, 19))
    .option("--ionice <class>", "realtime:0-7, best-effort:0-7 or idle", parseIonice)
    .option("--oom-score-adj <n>", "-1000 (never killed first) to 1000", (text) =>
      parseInteger(text, -1000, 1000),
    );
}

export function limitsFrom(flags: LimitFlags): Limits {
  const limits: Limits = {};
  const cpuMax = flags.cpuMax ?? flags.cpuQuota;
  if (cpuMax !== undefined) limits.cpuMax = cpuMax;
  if (flags.cpuWeight !== undefined) limits.cpuWeight = flags.cpuWeight;
  if (flags.memoryLimit !== undefined) limits.memoryHighBytes = flags.memoryLimit;
  if (flags.memoryMax !== undefined) limits.memoryMaxBytes = flags.memoryMax;
  if (flags.ioMax !== undefined) limits.ioMax = flags.ioMax;
  if (flags.pidsMax !== undefined) limits.pidsMax = flags.pidsMax;
  if (flags.cpus !== undefined) limits.cpus = flags.cpus;
  if (flags.nice !== undefined) limits.nice = flags.nice;
  if (flags.ionice !== undefined) limits.ionice = flags.ionice;
  if (flags.oomScoreAdj !== undefined) limits.oomScoreAdj = flags.oomScoreAdj;
  return limits;
}

function parseCpuQuota(text: string): CpuMax {
  // The kernel takes no quota below 1 ms, which is 1 % of its usual period.
  const percent = parseNumber(text, 1, MOST_CORES * 100, " of percent, 100 being one core,");
  return { quotaUsec: Math.round((percent * PERIOD_USEC) / 100), periodUsec: PERIOD_USEC };
}

function parseCpuMax(text: string): CpuMax {
  const [quota = "", period = String(PERIOD_USEC), ...rest] = text.trim().split(/\s+/);
  if (rest.length > 0)
    throw new InvalidArgumentError('It is "QUOTA PERIOD" in µs, e.g. "50000 100000" or "max 100000".');
  const periodUsec = parseInteger(period, 1000, 1_000_000);
  return {
    quotaUsec: quota === "max" ? "max" : parseInteger(quota, 1000, MOST_CORES * periodUsec),
    periodUsec,
  };
}

function parseMegabytes(text: string): number {
  return parseInteger(text, 1, Math.floor(Number.MAX_SAFE_INTEGER / MEBIBYTE), " of MB") * MEBIBYTE;
}

function parseCpus(text: string): string {
  if (parseCpuList(text) === undefined)
    throw new InvalidArgumentError("It is a list of CPU numbers such as 0-3,8.");
  return text;
}

function parseIonice(text: string): IoPriority {
  const match = /^(idle)$|^(realtime|best-effort):([0-7])$/.exec(text);
  if (!match)
    throw new InvalidArgumentError(
      "It is idle, best-effort:0 to best-effort:7, or realtime:0 to realtime:7.",
    );
  return match[1]
    ? { class: "idle", level: 0 }
    : { class: match[2] as IoPriority["class"], level: Number(match[3]) };
}

function collectIoMax(text: string, earlier: IoMax[] = []): IoMax[] {
  return [...earlier, parseIoMax(text)];
}

function parseIoMax(text: string): IoMax {
  const [target = "", ...words] = text.trim().split(/\s+/);
  const form = `It is "DEVICE rbps=N wbps=N riops=N wiops=N", with at least one of them, DEVICE being 8:0 or a path.`;
  if (words.length === 0) throw new InvalidArgumentError(form);
  const found = findWholeDisk(target);
  if ("fault" in found) throw new InvalidArgumentError(`${found.fault}. Disks are listed by: lsblk -d`);
  const max: IoMax = { device: found.device };
  for (const word of words) {
    const [name, value = ""] = word.split("=");
    const rate = IO_RATES.find((candidate) => candidate === name);
    if (rate === undefined || max[rate] !== undefined)
      throw new InvalidArgumentError(`"${word}" does not fit. ${form}`);
    max[rate] = value === "max" ? "max" : parseRate(word, value);
  }
  return max;
}

/** Bytes or operations per second; 0 would stop the workload, and the kernel does not take it. */
function parseRate(word: string, value: string): number {
  try {
    return parseSize(value, 1);
  } catch {
    throw new InvalidArgumentError(
      `"${word}" does not fit: a rate is a whole number from 1, with K, M or G if you like, or max.`,
    );
  }
}
