import { parseDuration, ValueFault } from "../limits/units.ts";

export const SCAN_INTERVAL = "a time from 100ms to 24h, such as 10s";

const MIN_SCAN_INTERVAL_MS = 100;
const MAX_SCAN_INTERVAL_MS = 86_400_000;

/** Returns ms. */
export function parseScanInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms < MIN_SCAN_INTERVAL_MS || ms > MAX_SCAN_INTERVAL_MS)
    throw new ValueFault("is not between 100ms and 24h");
  return ms;
}
