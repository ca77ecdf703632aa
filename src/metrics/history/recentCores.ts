import type { Point } from "./points.ts";

/** The time that each value stands for. Between two readings of a job that nobody watches there are two values. */
const VALUE_MS = 5000;
const VALUES = 24;

/**
 * Returns the CPU use in cores of the last 2 minutes before the last point ends, one value for each 5 s, oldest first.
 * `null`: unknown, or before the first point. The parts begin at multiples of 5 s, so that a value does not change later.
 */
export function recentCores(
  points: readonly Pick<Point, "startMs" | "endMs" | "counts">[],
): (number | null)[] {
  const endMs = Math.floor((points.at(-1)?.endMs ?? 0) / VALUE_MS) * VALUE_MS;
  const usec = Array<number>(VALUES).fill(0);
  const coveredMs = Array<number>(VALUES).fill(0);
  for (const { startMs, endMs: pointEndMs, counts } of points) {
    if (counts.cpuUsec === null) continue;
    const first = Math.max(0, VALUES - Math.ceil((endMs - startMs) / VALUE_MS));
    for (let index = first; index < VALUES; index++) {
      const fromMs = endMs - (VALUES - index) * VALUE_MS;
      const sharedMs = Math.min(pointEndMs, fromMs + VALUE_MS) - Math.max(startMs, fromMs);
      if (sharedMs <= 0) break;
      usec[index] = (usec[index] ?? 0) + (counts.cpuUsec * sharedMs) / (pointEndMs - startMs);
      coveredMs[index] = (coveredMs[index] ?? 0) + sharedMs;
    }
  }
  return usec.map((used, index) => {
    const ms = coveredMs[index] ?? 0;
    return ms < VALUE_MS / 2 ? null : used / (1000 * ms);
  });
}
