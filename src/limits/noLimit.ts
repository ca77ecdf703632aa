import type { CpuMax } from "./grammar.ts";
import type { LimitKey } from "./table.ts";

/**
 * Parses the value of a limit that can be lifted: `max` and `unlimited` ask for no limit, and so does 0 where a limit of 0
 * has no meaning. Throws ValueFault.
 */
export function parseOrNone<T>(key: LimitKey<T>, text: string): T | "max" {
  if (text === "max" || text === "unlimited" || isZero(key, text)) return "max";
  const value = key.parse(text);
  return isUnlimited(value) ? "max" : value;
}

/** Returns whether a value is the 0 of older policies and command lines, which asks for no limit. */
export function isZero({ zeroIsNone }: Pick<LimitKey<unknown>, "zeroIsNone">, text: string): boolean {
  return zeroIsNone === true && /^0+$/.test(text);
}

/** `max 100000`, the form of cpu.max for no limit. */
function isUnlimited(value: unknown): boolean {
  return typeof value === "object" && value !== null && (value as Partial<CpuMax>).quotaUsec === "max";
}
