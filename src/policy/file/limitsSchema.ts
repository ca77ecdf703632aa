import { z } from "zod";
import type { CpuMax, IoMax, Limits } from "../../limits/limits.ts";
import { parseRate, ValueFault } from "../../limits/units.ts";
import { LIMIT_KEYS, LIMIT_VALUES, type LimitKey, type LimitOf } from "../limitValues.ts";
import type { LimitLayer } from "../policy.ts";
import { oneOrMore, text, value } from "./leaves.ts";

/** `max` lifts what a more general place of the policy says. */
function limit<K extends LimitKey>(key: K) {
  const { right, parse } = LIMIT_VALUES[key];
  return value(`${right}; max for none`, (input): LimitOf<K> | "max" =>
    input === "max" ? "max" : (parse(String(input).trim()) as LimitOf<K>),
  ).optional();
}

/** 0 is how the older system writes that nothing is asked for. */
function limitOrZero<K extends LimitKey>(key: K) {
  const { right, parse } = LIMIT_VALUES[key];
  return value(`${right}; max for none`, (input): LimitOf<K> | "max" | undefined => {
    if (input === 0) return undefined;
    return input === "max" ? "max" : (parse(String(input).trim()) as LimitOf<K>);
  }).optional();
}

const rate = (counts: "bytes" | "operations") =>
  value(
    counts === "bytes"
      ? "bytes per second, such as 50MB/s, or max"
      : "operations per second, such as 500, or max",
    (input) => parseRate(String(input).trim(), counts),
  ).optional();

const IO_FORM = `${LIMIT_VALUES.io_max.right}, or the keys device, rbps, wbps, riops, wiops`;

const ioMax = z
  .union(
    [
      z.string().transform((input, context): IoMax => {
        try {
          return LIMIT_VALUES.io_max.parse(input);
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

/** The limits of a whole cgroup, which a tenant can have too. */
const groupLimits = {
  cpu_quota: limitOrZero("cpu_quota"),
  cpu_max: limit("cpu_max"),
  cpu_weight: limitOrZero("cpu_weight"),
  memory_limit: limitOrZero("memory_limit"),
  memory_max: limit("memory_max"),
  io_max: z.union([z.literal("max"), oneOrMore(ioMax)]).optional(),
  pids_max: limit("pids_max"),
  cpus: limit("cpus"),
};

const taskLimits = {
  nice: limit("nice"),
  ionice: limit("ionice"),
  oom_score_adj: limit("oom_score_adj"),
};

export const limitsSection = z.strictObject({ ...groupLimits, ...taskLimits }).nullish();
export const totalsSection = z.strictObject(groupLimits).nullish();

type LimitsWords = NonNullable<z.infer<typeof limitsSection>>;

export function toLayer(words: LimitsWords | null | undefined): LimitLayer {
  const set: Limits = {};
  const lifted: (keyof Limits)[] = [];
  for (const key of LIMIT_KEYS) {
    const given = words?.[key];
    if (given === undefined) continue;
    const { field } = LIMIT_VALUES[key];
    if (given === "max" || isUnlimited(given)) lifted.push(field);
    else Object.assign(set, { [field]: given });
  }
  return { set, lifted };
}

/** `cpu_max: "max 100000"` says no more than `max`. */
function isUnlimited(given: unknown): boolean {
  return typeof given === "object" && given !== null && (given as Partial<CpuMax>).quotaUsec === "max";
}
