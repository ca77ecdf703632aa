import { parseCpuMax, parseCpuQuota, parseCpus, parseIoMax, parseIonice } from "../limits/grammar.ts";
import type { Limits } from "../limits/limits.ts";
import { MEBIBYTE, parseMemory, parseWhole } from "../limits/units.ts";

const MAX_PIDS = 4_194_304;

/** How one limit is asked for, wherever that is written. */
export interface LimitValue<T> {
  field: keyof Limits;
  /** What would be right: for faults, editors and manuals. */
  right: string;
  /** Throws ValueFault. */
  parse(text: string): T;
}

function limit<T>(field: keyof Limits, right: string, parse: (text: string) => T): LimitValue<T> {
  return { field, right, parse };
}

/** By the keys of a policy file. An option has the same name with `-` for `_`. `io_max` is one of possibly many. */
export const LIMIT_VALUES = {
  cpu_quota: limit("cpuMax", 'CPU time: percent of a core (150, "150%") or "1.5 cores"', parseCpuQuota),
  cpu_max: limit("cpuMax", 'CPU time per period in µs: "50000 100000"', parseCpuMax),
  cpu_weight: limit("cpuWeight", "a share of contended CPU from 1 to 10000, 100 being usual", (text) =>
    parseWhole(text, 1, 10_000),
  ),
  memory_limit: limit("memoryHighBytes", "soft: a number of MiB, or a size such as 2GiB", (text) =>
    parseMemory(text, MEBIBYTE),
  ),
  memory_max: limit("memoryMaxBytes", "hard: a size such as 2GiB, or a number of bytes", (text) =>
    parseMemory(text, 1),
  ),
  io_max: limit(
    "ioMax",
    'a device (8:0, or a path on it) with rates: "8:0 rbps=50MB/s wiops=500"',
    parseIoMax,
  ),
  pids_max: limit("pidsMax", `a number of processes and threads from 1 to ${MAX_PIDS}`, (text) =>
    parseWhole(text, 1, MAX_PIDS),
  ),
  cpus: limit("cpus", "a list of CPU numbers, such as 0-3,8", parseCpus),
  nice: limit("nice", "a whole number from -20 (favoured) to 19", (text) => parseWhole(text, -20, 19)),
  ionice: limit(
    "ionice",
    "a class of disk priority: idle, best-effort:0 to best-effort:7, or realtime:0 to realtime:7",
    parseIonice,
  ),
  oom_score_adj: limit("oomScoreAdj", "a whole number from -1000 (never killed first) to 1000", (text) =>
    parseWhole(text, -1000, 1000),
  ),
} as const satisfies Record<string, LimitValue<unknown>>;

export type LimitKey = keyof typeof LIMIT_VALUES;
export type LimitOf<K extends LimitKey> = ReturnType<(typeof LIMIT_VALUES)[K]["parse"]>;

export const LIMIT_KEYS = Object.keys(LIMIT_VALUES) as LimitKey[];
