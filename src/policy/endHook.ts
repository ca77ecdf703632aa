import { parseDuration, ValueFault } from "../limits/units.ts";

/** Parsers of the values of `on_end` in policy files. They throw ValueFault. */

export const HOOK_TIMEOUT = "a time from 1s to 10m, such as 30s";
export const DEFAULT_HOOK_TIMEOUT_MS = 30_000;

const MIN_TIMEOUT_MS = 1000;
const MAX_TIMEOUT_MS = 600_000;

/** Returns ms. */
export function parseHookTimeout(text: string): number {
  const ms = parseDuration(text);
  if (ms < MIN_TIMEOUT_MS || ms > MAX_TIMEOUT_MS) throw new ValueFault("is not between 1s and 10m");
  return ms;
}

export const HOOK_FILE = "the absolute path of an executable";

export function parseHookFile(text: string): string {
  if (!text.startsWith("/")) throw new ValueFault("is not an absolute path");
  if (/\s/.test(text))
    throw new ValueFault("contains a space; a command with arguments is a list of its words");
  return text;
}
