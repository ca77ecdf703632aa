import type { CountName } from "../rates.ts";
import { columnOf, emptyRow, mergeRow, type Point, pointOf, type Row, rowOf, WIDTH } from "./points.ts";

/** The points of every ring. */
const CAPACITY = 360;
const FIRST_CAPACITY = 16;

/** The increase of one counter in a span of time. `null` is unknown. */
export interface CountedSpan {
  /** CLOCK_BOOTTIME, ms. */
  readonly startMs: number;
  readonly endMs: number;
  readonly count: number | null;
}

interface RingOptions {
  /** The wanted length of a point, in ms. */
  pointMs: number;
  latestMs?: number;
  points?: readonly Point[];
}

/**
 * A bounded list of points, one after the other. A ring of the latest time drops its oldest points when it is full, or when
 * they ended longer ago than `latestMs`. Without that, a ring of the whole time merges its points in pairs when it is full,
 * and has points of twice the length from then on.
 */
export class Ring {
  readonly #latestMs: number | undefined;
  #pointMs: number;
  /** The points as rows of numbers, a third of the memory of objects. */
  #rows = new Float64Array(FIRST_CAPACITY * WIDTH);
  #length = 0;

  constructor({ pointMs, latestMs, points = [] }: RingOptions) {
    this.#latestMs = latestMs;
    this.#pointMs = pointMs;
    for (const point of points) this.#push(rowOf(point));
  }

  /** The length of a point, in ms. */
  get pointMs(): number {
    return this.#pointMs;
  }

  get points(): Point[] {
    return Array.from({ length: this.#length }, (_, index) => pointOf(this.#row(index)));
  }

  /** Returns one counter of the points that end after a time. This takes a tenth of the time of `points`. */
  countsSince(name: CountName, afterMs: number): CountedSpan[] {
    const column = columnOf(name);
    const spans: CountedSpan[] = [];
    for (let index = this.#length - 1; index >= 0; index--) {
      const row = this.#row(index);
      const [startMs, endMs, count] = [row[0], row[1], row[column]] as [number, number, number];
      if (endMs <= afterMs) break;
      spans.push({ startMs, endMs, count: Number.isNaN(count) ? null : count });
    }
    return spans.reverse();
  }

  /** Adds a point to the last one as long as that is too short, else after it. */
  add(point: Point): void {
    const row = rowOf(point);
    const last = this.#length > 0 ? this.#row(this.#length - 1) : undefined;
    if (last !== undefined && this.#hasRoom(last, row)) mergeRow(last, row);
    else this.#push(row);
    if (this.#latestMs === undefined) return;
    while ((this.#row(0)[1] as number) <= point.endMs - this.#latestMs) this.#dropFirst();
  }

  #push(row: Row): void {
    if (this.#length === CAPACITY) {
      if (this.#latestMs !== undefined) this.#dropFirst();
      else this.#mergePairs();
    }
    if ((this.#length + 1) * WIDTH > this.#rows.length) {
      const larger = new Float64Array(Math.min(2 * this.#rows.length, CAPACITY * WIDTH));
      larger.set(this.#rows);
      this.#rows = larger;
    }
    this.#rows.set(row, this.#length++ * WIDTH);
  }

  /** Of the two lengths that the last point can have, the nearer one to the wanted length: timers are not exact. */
  #hasRoom(last: Row, added: Row): boolean {
    const lengthOf = (row: Row) => (row[1] as number) - (row[0] as number);
    return lengthOf(last) + Math.min(lengthOf(added), this.#pointMs) / 2 <= this.#pointMs;
  }

  #dropFirst(): void {
    this.#rows.copyWithin(0, WIDTH);
    this.#length--;
  }

  #mergePairs(): void {
    this.#pointMs *= 2;
    const merged = emptyRow();
    for (let index = 0; index < CAPACITY; index += 2) {
      merged.set(this.#row(index));
      mergeRow(merged, this.#row(index + 1));
      this.#rows.set(merged, (index / 2) * WIDTH);
    }
    this.#length = CAPACITY / 2;
  }

  /** Returns the numbers of a point, in place. */
  #row(index: number): Row {
    return this.#rows.subarray(index * WIDTH, (index + 1) * WIDTH);
  }
}
