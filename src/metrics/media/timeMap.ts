/** A place in a file, and the media time of it. */
export interface MapPoint {
  readonly bytes: number;
  readonly seconds: number;
}

/** Maps places in a media file to media time. */
export class TimeMap {
  readonly durationSeconds: number;
  /** No place in between is known. */
  readonly isLinear: boolean;
  /** Rising in both directions; the last one is the end of the file. */
  readonly points: readonly MapPoint[];

  /** `points` in any order; those that do not rise in both directions are left out. */
  constructor(points: readonly MapPoint[], end: MapPoint) {
    const rising: MapPoint[] = [];
    for (const point of [...points].sort((a, b) => a.seconds - b.seconds)) {
      const last = rising.at(-1);
      const isBelowEnd = point.bytes < end.bytes && point.seconds < end.seconds;
      if (isBelowEnd && (last === undefined || (point.bytes > last.bytes && point.seconds > last.seconds)))
        rising.push(point);
    }
    this.points = [...rising, end];
    this.isLinear = rising.length < 2;
    this.durationSeconds = end.seconds;
  }

  /** The media time at a place, between the two known places around it. */
  secondsAt(bytes: number): number {
    const next = this.points.findIndex((point) => point.bytes > bytes);
    if (next < 0) return this.durationSeconds;
    const to = this.points[next] as MapPoint;
    // The bytes before the first packet are headers.
    const from = this.points[next - 1];
    if (from === undefined) return to.seconds * (this.points.length === 1 ? bytes / to.bytes : 0);
    return from.seconds + ((bytes - from.bytes) / (to.bytes - from.bytes)) * (to.seconds - from.seconds);
  }
}

/** Returns times at equal distances, the first one at the start. */
export function evenTimes(fromSeconds: number, toSeconds: number, count: number): number[] {
  return Array.from(
    { length: count },
    (_, index) => fromSeconds + ((toSeconds - fromSeconds) * index) / count,
  );
}

/** An interval between two points whose data rate differs by less from those beside it is as good as even. */
const EVEN_ERROR_SECONDS = 0.25;

/**
 * Returns times at which further points help most: in long intervals whose data rate differs from that of the intervals
 * beside them, because the rate changes inside one of them.
 */
export function unevenTimes(points: readonly MapPoint[], count: number): number[] {
  const intervals = points.slice(1).map((to, index) => {
    const from = points[index] as MapPoint;
    const seconds = to.seconds - from.seconds;
    return { from, to, seconds, rate: (to.bytes - from.bytes) / seconds, added: 0 };
  });
  const differenceOf = (a: number, b: number | undefined) =>
    b === undefined ? 0 : Math.abs(a - b) / Math.max(a, b);
  const errors = intervals.map(
    ({ rate, seconds }, index) =>
      seconds *
      Math.max(
        differenceOf(rate, intervals[index - 1]?.rate),
        differenceOf(rate, intervals[index + 1]?.rate),
      ),
  );
  const errorOf = (index: number) => (errors[index] as number) / ((intervals[index]?.added ?? 0) + 1);
  for (let left = count; left > 0 && intervals.length > 0; left--) {
    const worst = intervals.keys().reduce((a, b) => (errorOf(b) > errorOf(a) ? b : a));
    if (errorOf(worst) < EVEN_ERROR_SECONDS) break;
    (intervals[worst] as { added: number }).added++;
  }
  return intervals.flatMap(({ from, to, added }) => evenTimes(from.seconds, to.seconds, added + 1).slice(1));
}
