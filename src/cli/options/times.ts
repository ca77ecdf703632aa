import { parseDuration, ValueFault } from "../../limits/units.ts";

export const SINCE = "a time such as 2h for two hours ago, or a date such as 2026-11-26 or 2026-11-26T21:00";
export const WAIT_TIME = "a time up to 24d, such as 90s or 2h";

/** A timer of the runtime counts ms in 31 bits. */
const MAX_WAIT_MS = 24 * 86_400_000;

/** Returns ms since the epoch. A date without a zone is local time, as the operator's clock shows it. */
export function parseSince(text: string, nowMs: number): number {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return nowMs - parseDuration(text);
  const [, day, clock = "", zone = ""] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?)?$/.exec(text) ?? [];
  const ms = day === undefined ? Number.NaN : Date.parse(`${day}T${clock || "00:00"}${zone}`);
  if (Number.isNaN(ms)) throw new ValueFault("is not a time");
  return ms;
}

/** Returns ms. */
export function parseWaitTime(text: string): number {
  const ms = parseDuration(text);
  if (ms > MAX_WAIT_MS) throw new ValueFault("is more than 24d");
  return ms;
}
