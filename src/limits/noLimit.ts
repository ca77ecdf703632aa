import type { CpuMax } from "./grammar.ts";
import type { LimitKey } from "./table.ts";

/**
 * Parses the value of a limit that can be lifted: `max` and `unlimited` ask for no limit, and so does 0 where a limit of 0
 * has no meaning. Throws ValueFault.
 */
export function parseOrNone<T>({ parse, zeroIsNone }: LimitKey<T>, text: string): T | "max" {
  if (text === "max" || text === "unlimited" || (zeroIsNone && /^0+$/.test(text))) return "max";
  const value = parse(text);
  return isUnlimited(value) ? "max" : value;
}

/** `max 100000`, the form of cpu.max for no limit. */
function isUnlimited(value: unknown): boolean {
  return typeof value === "object" && value !== null && (value as Partial<CpuMax>).quotaUsec === "max";
}
