import type { CountedSpan } from "./ring.ts";

/** The time that each value stands for. Between two readings of a job that nobody watches there are two values. */
const VALUE_MS = 5000;
const VALUES = 24;
/** The time that all values together stand for. */
export const CORES_MS = VALUES * VALUE_MS;

/** Returns the end of the last full part. Parts begin at multiples of their length, so that no value changes later. */
export function lastFullEndMs(atBootMs: number): number {
  return Math.floor(atBootMs / VALUE_MS) * VALUE_MS;
}

/**
 * Returns the CPU use in cores of the 2 minutes before `endMs`, one value for each 5 s, oldest first, from increases of
 * cpuUsec. `null`: unknown for more than half of the part.
 */
export function coresOf(spans: readonly CountedSpan[], endMs: number): (number | null)[] {
  const usec = Array<number>(VALUES).fill(0);
  const knownMs = Array<number>(VALUES).fill(0);
  for (const { startMs, endMs: spanEndMs, count } of spans) {
    if (count === null) continue;
    const first = Math.max(0, Math.floor(VALUES - (endMs - startMs) / VALUE_MS));
    for (let index = first; index < VALUES; index++) {
      const fromMs = endMs - (VALUES - index) * VALUE_MS;
      const sharedMs = Math.min(spanEndMs, fromMs + VALUE_MS) - Math.max(startMs, fromMs);
      if (sharedMs <= 0) break;
      usec[index] = (usec[index] ?? 0) + (count * sharedMs) / (spanEndMs - startMs);
      knownMs[index] = (knownMs[index] ?? 0) + sharedMs;
    }
  }
  return usec.map((used, index) => {
    const ms = knownMs[index] ?? 0;
    return ms < VALUE_MS / 2 ? null : used / (1000 * ms);
  });
}
