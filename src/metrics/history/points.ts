import type { CountName } from "../rates.ts";

/** The counters of a job that the meter reads, beside those of cgroups: TCP bytes, and media time in ms. */
export type MeterCountName = "tcpSentBytes" | "tcpReceivedBytes" | "mediaMsec";
type PointCount = CountName | MeterCountName;

/** The order of the counters in a stored history. New ones are added at the end: an earlier history lacks them. */
export const COUNTS = [
  ...["cpuUsec", "quotaPeriods", "throttledPeriods", "ioReadBytes", "ioWriteBytes"],
  ...["cpuPressureUsec", "memoryPressureUsec", "memoryFullPressureUsec"],
  ...["ioPressureUsec", "ioFullPressureUsec"],
  ...["tcpSentBytes", "tcpReceivedBytes", "mediaMsec"],
] as PointCount[];

/**
 * The values that rise and fall, as whole numbers; the speed is media time per time, in thousandths. The order is that of a
 * stored history, as that of the counters.
 */
export const GAUGES = ["memoryBytes", "processCount", "speedPermille", "sendBacklogMs"] as const;

export type GaugeName = (typeof GAUGES)[number];

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The use of resources by a job in a span of time. `null` is unknown. */
export interface Point {
  /** CLOCK_BOOTTIME, ms. A point begins where the one before ends. */
  readonly startMs: number;
  readonly endMs: number;
  readonly counts: Readonly<Record<PointCount, number | null>>;
  readonly gauges: Readonly<Record<GaugeName, Range | null>>;
}

/**
 * Returns the point of the span of two points, one after the other. A count that is unknown in one is unknown in both
 * together; of a gauge, the known part remains.
 */
export function mergePoints(a: Point, b: Point): Point {
  const row = rowOf(a);
  mergeRow(row, rowOf(b));
  return pointOf(row);
}

/** A point as numbers: start, end, each count, minimum and maximum of each gauge. NaN is unknown. */
export type Row = Float64Array;

export const START = 0;
export const END = 1;
export const FIRST_GAUGE = 2 + COUNTS.length;
export const WIDTH = FIRST_GAUGE + 2 * GAUGES.length;

export function emptyRow(): Row {
  return new Float64Array(WIDTH);
}

/** Returns the column of a counter. */
export function columnOf(name: PointCount): number {
  return 2 + COUNTS.indexOf(name);
}

/** Returns the column of the minimum of a gauge, before that of its maximum. */
export function gaugeColumnOf(name: GaugeName): number {
  return FIRST_GAUGE + 2 * GAUGES.indexOf(name);
}

export function rowOf({ startMs, endMs, counts, gauges }: Point): Row {
  const row = emptyRow();
  row[START] = startMs;
  row[END] = endMs;
  COUNTS.forEach((name, index) => {
    row[2 + index] = counts[name] ?? Number.NaN;
  });
  GAUGES.forEach((name, index) => {
    row[FIRST_GAUGE + 2 * index] = gauges[name]?.min ?? Number.NaN;
    row[FIRST_GAUGE + 2 * index + 1] = gauges[name]?.max ?? Number.NaN;
  });
  return row;
}

export function pointOf(row: Row): Point {
  const at = (column: number) => row[column] as number;
  const known = (value: number) => (Number.isNaN(value) ? null : value);
  const rangeAt = (column: number): Range | null =>
    Number.isNaN(at(column)) ? null : { min: at(column), max: at(column + 1) };
  return {
    startMs: at(START),
    endMs: at(END),
    counts: Object.fromEntries(COUNTS.map((name, index) => [name, known(at(2 + index))])) as Point["counts"],
    gauges: Object.fromEntries(
      GAUGES.map((name, index) => [name, rangeAt(FIRST_GAUGE + 2 * index)]),
    ) as Point["gauges"],
  };
}

/** Adds the numbers of the point after it to those of a point. */
export function mergeRow(row: Row, next: Row): void {
  const at = (of: Row, column: number) => of[column] as number;
  row[END] = at(next, END);
  // NaN and a number are NaN.
  for (let column = 2; column < FIRST_GAUGE; column++) row[column] = at(row, column) + at(next, column);
  for (let min = FIRST_GAUGE; min < WIDTH; min += 2) {
    if (Number.isNaN(at(next, min))) continue;
    const isKnown = !Number.isNaN(at(row, min));
    row[min] = isKnown ? Math.min(at(row, min), at(next, min)) : at(next, min);
    row[min + 1] = isKnown ? Math.max(at(row, min + 1), at(next, min + 1)) : at(next, min + 1);
  }
}

/** Returns whether a count is known in a point and unknown in the one before it, so that it is unknown in both together. */
export function knowsMore(row: Row, before: Row): boolean {
  for (let column = 2; column < FIRST_GAUGE; column++)
    if (Number.isNaN(before[column]) && !Number.isNaN(row[column])) return true;
  return false;
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
