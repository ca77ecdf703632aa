import { parseDuration, ValueFault } from "../limits/units.ts";

export const SCAN_INTERVAL = "a time from 100ms to 24h, such as 10s";

const LEAST_SCAN_INTERVAL_MS = 100;
const MOST_SCAN_INTERVAL_MS = 86_400_000;

/** ms. */
export function parseScanInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms < LEAST_SCAN_INTERVAL_MS || ms > MOST_SCAN_INTERVAL_MS)
    throw new ValueFault("is not between 100ms and 24h");
  return ms;
}
