import { parseBytes, parseDuration, ValueFault } from "../limits/units.ts";

/** Parsers of the values of a retention, for options and policy files. They throw ValueFault. */

export const MAX_AGE = "a time of at least 1h, such as 90d, or unlimited";
export const MAX_SIZE = "a size of at least 10MiB, such as 1GiB, or unlimited";

const UNLIMITED = "unlimited";
const MIN_AGE_MS = 3_600_000;
const MIN_BYTES = 10 * 1024 ** 2;

/** Returns ms, or `Infinity`. */
export function parseMaxAge(text: string, minMs = MIN_AGE_MS): number {
  if (text === UNLIMITED) return Number.POSITIVE_INFINITY;
  const ms = parseDuration(text);
  if (ms < minMs) throw new ValueFault("is less than 1h");
  return ms;
}

/** Returns bytes, or `Infinity`. A number without a unit is in bytes. */
export function parseMaxSize(text: string, minBytes = MIN_BYTES): number {
  if (text === UNLIMITED) return Number.POSITIVE_INFINITY;
  const bytes = parseBytes(text, 1);
  if (bytes < minBytes) throw new ValueFault("is less than 10MiB");
  return bytes;
}
