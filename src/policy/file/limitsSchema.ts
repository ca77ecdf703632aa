import { z } from "zod";
import { type CpuMax, IO_RATES, unitOf } from "../../limits/grammar.ts";
import type { LimitLayer } from "../../limits/limits.ts";
import { isZero, parseOrNone } from "../../limits/noLimit.ts";
import { LIMITS, type Limit, type LimitKey, TASK_LIMITS } from "../../limits/table.ts";
import { parseRate } from "../../limits/units.ts";
import { oneOrMore, text, value } from "./leaves.ts";

function shapeOf({ keys, perDevice }: Limit): Record<string, z.ZodType> {
  const schemaOf = perDevice ? deviceLines : singleValue;
  return Object.fromEntries(Object.entries(keys).map(([key, info]) => [key, schemaOf(info).optional()]));
}

/** `max` cancels the limit of a more general section. */
function singleValue(key: LimitKey<unknown>) {
  return value(`${key.expected}; max for none`, (input) => {
    const text = String(input).trim();
    // Older policies write 0 where they ask for nothing, and the limit of a more general section applies.
    return isZero(key, text) ? undefined : parseOrNone(key, text);
  });
}

function deviceLines({ expected, parse }: LimitKey<unknown>) {
  const right = `${expected}, or the keys device, ${IO_RATES.join(", ")}`;
  const byKey = z.strictObject({
    device: text("a device such as 8:0, or a path on it", (input) => input.trim()),
    ...Object.fromEntries(IO_RATES.map((name) => [name, rate(unitOf(name))])),
  });
  const line = z.union([text(right, parse), byKey], { error: right }).meta({ description: right });
  return z.union([z.literal("max"), oneOrMore(line)]);
}

function rate(counts: "bytes" | "operations") {
  const example = counts === "bytes" ? "50MB/s" : "500";
  return value(`${counts} per second, such as ${example}, or max`, (input) =>
    parseRate(String(input).trim(), counts),
  ).optional();
}

const shape: Record<string, z.ZodType> = Object.assign({}, ...Object.values(LIMITS).map(shapeOf));
const taskKeys = TASK_LIMITS.flatMap((name) => Object.keys(LIMITS[name].keys));
const totals = Object.entries(shape).filter(([key]) => !taskKeys.includes(key));

export const limitsSection = z.strictObject(shape).nullish();
/** The limits of a tenant's cgroup: attributes of threads and processes have no total. */
export const totalsSection = z.strictObject(Object.fromEntries(totals)).nullish();

export type LimitWords = z.infer<typeof limitsSection>;

export function toLayer(words: LimitWords): LimitLayer {
  const layer: Record<string, unknown> = {};
  for (const { field, keys } of Object.values(LIMITS)) {
    for (const key of Object.keys(keys)) {
      const given = words?.[key];
      if (given === undefined) continue;
      layer[field] = isUnlimited(given) ? "max" : Array.isArray(given) ? given.flat() : given;
    }
  }
  return layer;
}

/** `cpu_max: "max 100000"` means the same as `max`. */
function isUnlimited(given: unknown): boolean {
  return typeof given === "object" && given !== null && (given as Partial<CpuMax>).quotaUsec === "max";
}
