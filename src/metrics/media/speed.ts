/** Over which time the speed is measured. */
const WINDOW_MS = 15_000;
/** A shorter time says more about how a program writes its reports than about its speed. */
const MIN_WINDOW_MS = 4000;

/** A media time and when it was reached: CLOCK_BOOTTIME, ms. */
interface Point {
  readonly atBootMs: number;
  readonly mediaSeconds: number;
}

export interface Speed {
  /** Media time per time: 1 is real time. */
  readonly factor: number;
  readonly overMs: number;
}

/**
 * Measures the speed of a job: the media time of the last 15 s divided by their time. ffmpeg's own `speed=` is an average
 * since its start, which hides for minutes that a stream has become too slow.
 */
export class SpeedMeter {
  #points: Point[] = [];
  #windowMs = WINDOW_MS;
  /** When the media time rose last. */
  #movedAtBootMs: number | undefined;

  /** `windowMs`: another window, where media time rises in long steps. */
  add(point: Point, windowMs = WINDOW_MS): void {
    this.#windowMs = Math.max(WINDOW_MS, windowMs);
    const last = this.#points.at(-1);
    if (last !== undefined && point.mediaSeconds < last.mediaSeconds) this.#points = [];
    if (last === undefined || point.mediaSeconds !== last.mediaSeconds) this.#movedAtBootMs = point.atBootMs;
    if (last !== undefined && point.atBootMs <= last.atBootMs) return;
    this.#points.push(point);
    while (this.#points.length > 2 && this.#isFirstTooOld(point)) this.#points.shift();
  }

  /** The second point is enough for a window, or for a measurement after a gap, as of a machine that was suspended. */
  #isFirstTooOld({ atBootMs }: Point): boolean {
    const [firstMs, secondMs] = this.#points.slice(0, 2).map((point) => atBootMs - point.atBootMs) as [
      number,
      number,
    ];
    return secondMs >= this.#windowMs || (firstMs > 2 * this.#windowMs && secondMs >= MIN_WINDOW_MS);
  }

  /** Drops all readings, for example because the source has changed. */
  reset(): void {
    this.#points = [];
    this.#movedAtBootMs = undefined;
  }

  /** `null`: it was not observed for long enough. */
  get speed(): Speed | null {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (first === undefined || last === undefined) return null;
    const overMs = last.atBootMs - first.atBootMs;
    if (overMs < MIN_WINDOW_MS) return null;
    return { factor: ((last.mediaSeconds - first.mediaSeconds) * 1000) / overMs, overMs };
  }

  /** Returns for how long the media time has not changed, ms. */
  stillSinceMs(nowBootMs: number): number {
    return this.#movedAtBootMs === undefined ? 0 : nowBootMs - this.#movedAtBootMs;
  }
}
