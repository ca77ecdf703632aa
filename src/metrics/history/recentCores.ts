/** The time that each value covers. Between two readings of a job without viewers there are two values. */
const VALUE_MS = 5000;
const VALUES = 24;
/** With the present part, which is not full. */
const PARTS = VALUES + 1;

/** The CPU use of a job in the last 2 minutes, in parts of 5 s that begin at multiples of their length. */
export class RecentCores {
  /** The value of each part: part n, counted from the boot, is at n modulo their number. */
  readonly #usec = new Float64Array(PARTS);
  readonly #knownMs = new Float64Array(PARTS);
  /** The latest part. */
  #latest = Number.NEGATIVE_INFINITY;
  #values: readonly (number | null)[] | undefined;

  /**
   * Adds the increase of cpuUsec in a span of time, by CLOCK_BOOTTIME in ms, after the one before. `null` is unknown. It is
   * divided evenly among the parts that the span is in.
   */
  add(startMs: number, endMs: number, usec: number | null): void {
    this.#advanceTo(Math.floor(endMs / VALUE_MS));
    if (usec === null) return;
    const first = Math.max(Math.floor(startMs / VALUE_MS), this.#latest - VALUES);
    for (let part = first; part <= this.#latest; part++) {
      const fromMs = part * VALUE_MS;
      const sharedMs = Math.min(endMs, fromMs + VALUE_MS) - Math.max(startMs, fromMs);
      if (sharedMs <= 0) continue;
      const place = part % PARTS;
      this.#usec[place] = (this.#usec[place] ?? 0) + (usec * sharedMs) / (endMs - startMs);
      this.#knownMs[place] = (this.#knownMs[place] ?? 0) + sharedMs;
    }
  }

  /**
   * Returns the use in cores of the last full parts, one value for each, oldest first, so that no value changes later. `null`:
   * unknown for more than half of the part.
   */
  values(): readonly (number | null)[] {
    this.#values ??= Array.from({ length: VALUES }, (_, index) => {
      const part = this.#latest - VALUES + index;
      if (part < 0) return null;
      const place = part % PARTS;
      const knownMs = this.#knownMs[place] ?? 0;
      return knownMs < VALUE_MS / 2 ? null : (this.#usec[place] ?? 0) / (1000 * knownMs);
    });
    return this.#values;
  }

  #advanceTo(part: number): void {
    if (part <= this.#latest) return;
    this.#values = undefined;
    for (let each = Math.max(0, this.#latest + 1, part - VALUES); each <= part; each++) {
      this.#usec[each % PARTS] = 0;
      this.#knownMs[each % PARTS] = 0;
    }
    this.#latest = part;
  }
}
