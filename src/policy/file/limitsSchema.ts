import { z } from "zod";
import type { CpuMax, IoMax, Limits } from "../../kernel/limits.ts";
import { IO_RATES } from "../../kernel/limits.ts";
import type { LimitLayer } from "../policy.ts";
import { ValueFault } from "./fault.ts";
import { oneOrMore, text, value } from "./leaves.ts";
import {
  parseCpuMax,
  parseCpuQuota,
  parseCpus,
  parseIonice,
  parseMemory,
  parseRate,
  parseWhole,
} from "./values.ts";

const MEBIBYTE = 1024 ** 2;
const MOST_PIDS = 4_194_304;

/** `max` lifts what a more general place of the policy says. */
function limit<T>(right: string, parse: (value: string | number) => T) {
  return value(`${right}; max for none`, (input): T | "max" =>
    input === "max" ? "max" : parse(input),
  ).optional();
}

/** 0 is how the older system writes that nothing is asked for. */
function limitOrZero<T>(right: string, parse: (value: string | number) => T) {
  return value(`${right}; max for none`, (input): T | "max" | undefined => {
    if (input === 0) return undefined;
    return input === "max" ? "max" : parse(input);
  }).optional();
}

const rate = (counts: "bytes" | "operations") =>
  value(
    counts === "bytes"
      ? "bytes per second, such as 50MB/s, or max"
      : "operations per second, such as 500, or max",
    (input) => parseRate(input, counts),
  ).optional();

const IO_FORM =
  'a device (8:0, or a path on it) with rates: "8:0 rbps=50MB/s wiops=500", or the keys device, rbps, wbps, riops, wiops';

const ioMax = z
  .union(
    [
      z.string().transform((input, context): IoMax => {
        try {
          return parseIoMax(input);
        } catch (error) {
          if (!(error instanceof ValueFault)) throw error;
          context.addIssue({ code: "custom", message: error.message, params: { right: IO_FORM } });
          return z.NEVER;
        }
      }),
      z.strictObject({
        device: text("a device such as 8:0, or a path on it", (input) => input.trim()),
        rbps: rate("bytes"),
        wbps: rate("bytes"),
        riops: rate("operations"),
        wiops: rate("operations"),
      }),
    ],
    { error: IO_FORM },
  )
  .meta({ description: IO_FORM });

function parseIoMax(input: string): IoMax {
  const [device = "", ...words] = input.trim().split(/\s+/);
  if (words.length === 0) throw new ValueFault("names no rate");
  const max: IoMax = { device };
  for (const word of words) {
    const at = word.indexOf("=");
    const name = IO_RATES.find((candidate) => candidate === word.slice(0, at));
    if (name === undefined)
      throw new ValueFault(`holds ${JSON.stringify(word)}, which is none of ${IO_RATES.join("=, ")}=`);
    if (max[name] !== undefined) throw new ValueFault(`names ${name} twice`);
    max[name] = parseRate(word.slice(at + 1), name.endsWith("bps") ? "bytes" : "operations");
  }
  return max;
}

/** The limits of a whole cgroup, which a tenant can have too. */
const groupLimits = {
  cpu_quota: limitOrZero('CPU time: percent of a core (150, "150%") or "1.5 cores"', parseCpuQuota),
  cpu_max: limit('CPU time per period in µs: "50000 100000"', parseCpuMax),
  cpu_weight: limitOrZero("a share of contended CPU from 1 to 10000, 100 being usual", (input) =>
    parseWhole(input, 1, 10_000),
  ),
  memory_limit: limitOrZero("soft: a number of MB, or a size such as 2GiB", (input) =>
    parseMemory(input, MEBIBYTE),
  ),
  memory_max: limit("hard: a size such as 2GiB, or a number of bytes", (input) => parseMemory(input, 1)),
  io_max: z.union([z.literal("max"), oneOrMore(ioMax)]).optional(),
  pids_max: limit(`a number of processes and threads from 1 to ${MOST_PIDS}`, (input) =>
    parseWhole(input, 1, MOST_PIDS),
  ),
  cpus: limit("a list of CPU numbers, such as 0-3,8", parseCpus),
};

const taskLimits = {
  nice: limit("a whole number from -20 (favoured) to 19", (input) => parseWhole(input, -20, 19)),
  ionice: limit("idle, best-effort:0 to best-effort:7, or realtime:0 to realtime:7", parseIonice),
  oom_score_adj: limit("a whole number from -1000 (never killed first) to 1000", (input) =>
    parseWhole(input, -1000, 1000),
  ),
};

export const limitsSection = z.strictObject({ ...groupLimits, ...taskLimits }).nullish();
export const totalsSection = z.strictObject(groupLimits).nullish();

type LimitsWords = NonNullable<z.infer<typeof limitsSection>>;

const FIELDS = {
  cpu_quota: "cpuMax",
  cpu_max: "cpuMax",
  cpu_weight: "cpuWeight",
  memory_limit: "memoryHighBytes",
  memory_max: "memoryMaxBytes",
  io_max: "ioMax",
  pids_max: "pidsMax",
  cpus: "cpus",
  nice: "nice",
  ionice: "ionice",
  oom_score_adj: "oomScoreAdj",
} as const satisfies Record<keyof LimitsWords, keyof Limits>;

export function toLayer(words: LimitsWords | null | undefined): LimitLayer {
  const set: Limits = {};
  const lifted: (keyof Limits)[] = [];
  for (const [key, field] of Object.entries(FIELDS) as [keyof LimitsWords, keyof Limits][]) {
    const given = words?.[key];
    if (given === undefined) continue;
    if (given === "max" || isUnlimited(given)) lifted.push(field);
    else Object.assign(set, { [field]: given });
  }
  return { set, lifted };
}

/** `cpu_max: "max 100000"` says no more than `max`. */
function isUnlimited(given: unknown): boolean {
  return typeof given === "object" && given !== null && (given as Partial<CpuMax>).quotaUsec === "max";
}
