import type { CountName, Increases } from "../rates.ts";

/** The order of the counters in a stored history. New ones are added at the end. */
export const COUNTS = [
  ...["cpuUsec", "quotaPeriods", "throttledPeriods", "ioReadBytes", "ioWriteBytes"],
  ...["cpuPressureUsec", "memoryPressureUsec", "memoryFullPressureUsec"],
  ...["ioPressureUsec", "ioFullPressureUsec"],
] as CountName[];

/** The values that rise and fall. The order is that of a stored history. */
export const GAUGES = ["memoryBytes", "processCount"] as const;

export type GaugeName = (typeof GAUGES)[number];

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** What a job has used in a span of time. `null` is unknown. */
export interface Point {
  /** CLOCK_BOOTTIME, ms. A point begins where the one before ends. */
  readonly startMs: number;
  readonly endMs: number;
  readonly counts: Increases;
  readonly gauges: Readonly<Record<GaugeName, Range | null>>;
}

/**
 * Returns the point of the span of two points, one after the other. A count that is unknown in one is unknown in both
 * together; of a gauge, the known part remains.
 */
export function mergePoints(a: Point, b: Point): Point {
  const counts = COUNTS.map((name) => {
    const [x, y] = [a.counts[name], b.counts[name]];
    return [name, x === null || y === null ? null : x + y];
  });
  const gauges = GAUGES.map((name) => [name, mergeRanges(a.gauges[name], b.gauges[name])]);
  return {
    startMs: a.startMs,
    endMs: b.endMs,
    counts: Object.fromEntries(counts),
    gauges: Object.fromEntries(gauges),
  };
}

function mergeRanges(a: Range | null, b: Range | null): Range | null {
  if (a === null || b === null) return a ?? b;
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}

/** Merges points to at most `count` of about the same length in time. */
export function resample(points: readonly Point[], count: number): Point[] {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return [];
  const spanMs = Math.max(1, last.endMs - first.startMs);
  const slots = Map.groupBy(points, ({ startMs }) =>
    Math.min(count - 1, Math.floor(((startMs - first.startMs) * count) / spanMs)),
  );
  return [...slots.values()].map((slot) => slot.reduce(mergePoints));
}
