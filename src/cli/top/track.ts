/** The span of charts. */
export const TRACK_MS = 600_000;
/** Shorter spans are merged: 300 of these fill a track. */
const MIN_SPAN_MS = 1500;

/** The values of a job in a span of time. `null` is unknown. CLOCK_BOOTTIME, in ms. */
export interface TrackPoint {
  readonly startBootMs: number;
  readonly endBootMs: number;
  /** CPU use in cores. */
  readonly cores: number | null;
  /** Media time per time. */
  readonly speed: number | null;
  /** Bytes per second over TCP. */
  readonly sent: number | null;
}

export type TrackName = "cores" | "speed" | "sent";

/** The values of a job in the last 10 minutes, the oldest first. */
export class Track {
  #points: TrackPoint[] = [];

  get points(): readonly TrackPoint[] {
    return this.#points;
  }

  /** Adds a span after all others. The part of it that is known already is left out. */
  add(point: TrackPoint): void {
    const last = this.#points.at(-1);
    const startBootMs = Math.max(point.startBootMs, last?.endBootMs ?? 0);
    if (startBootMs >= point.endBootMs) return;
    const added = { ...point, startBootMs };
    const isJoined = last !== undefined && last.endBootMs === startBootMs && lengthOf(last) < MIN_SPAN_MS;
    if (isJoined) this.#points[this.#points.length - 1] = merge(last, added);
    else this.#points.push(added);
    const kept = this.#points.findIndex(({ endBootMs }) => endBootMs > point.endBootMs - TRACK_MS);
    if (kept > 0) this.#points.splice(0, kept);
  }

  /** Takes spans that another process has measured, and keeps those after them. */
  replaceEarlier(points: readonly TrackPoint[]): void {
    const endBootMs = points.at(-1)?.endBootMs ?? Number.NEGATIVE_INFINITY;
    this.#points = [...points, ...this.#points.filter(({ startBootMs }) => startBootMs >= endBootMs)];
  }

  /** Returns the average of the last `ms` of what is known. */
  averageOf(name: TrackName, nowBootMs: number, ms: number): number | null {
    return this.samples(name, nowBootMs, ms, 1)[0] ?? null;
  }

  /** Returns `count` averages over equal parts of the last `spanMs`, the oldest first. `null`: unknown. */
  samples(name: TrackName, nowBootMs: number, spanMs: number, count: number): (number | null)[] {
    const partMs = spanMs / count;
    const [sums, times] = [new Float64Array(count), new Float64Array(count)];
    const fromBootMs = nowBootMs - spanMs;
    for (const point of this.#points) {
      const value = point[name];
      if (value === null || point.endBootMs <= fromBootMs) continue;
      const first = Math.max(0, Math.floor((point.startBootMs - fromBootMs) / partMs));
      const last = Math.min(count - 1, Math.floor((point.endBootMs - fromBootMs) / partMs));
      for (let index = first; index <= last; index++) {
        const partBootMs = fromBootMs + index * partMs;
        const start = Math.max(point.startBootMs, partBootMs);
        const covered = Math.min(point.endBootMs, partBootMs + partMs) - start;
        if (covered <= 0) continue;
        sums[index] = (sums[index] as number) + value * covered;
        times[index] = (times[index] as number) + covered;
      }
    }
    return Array.from(sums, (sum, index) => (times[index] === 0 ? null : sum / (times[index] as number)));
  }
}

function lengthOf({ startBootMs, endBootMs }: TrackPoint): number {
  return endBootMs - startBootMs;
}

function merge(a: TrackPoint, b: TrackPoint): TrackPoint {
  const average = (name: TrackName): number | null => {
    const [first, second] = [a[name], b[name]];
    if (first === null || second === null) return second ?? first;
    return (first * lengthOf(a) + second * lengthOf(b)) / (lengthOf(a) + lengthOf(b));
  };
  return {
    startBootMs: a.startBootMs,
    endBootMs: b.endBootMs,
    cores: average("cores"),
    speed: average("speed"),
    sent: average("sent"),
  };
}
