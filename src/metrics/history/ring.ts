import type { CountName } from "../rates.ts";
import {
  columnOf,
  END,
  emptyRow,
  knowsMore,
  mergeRow,
  type Point,
  pointOf,
  type Row,
  rowOf,
  START,
} from "./points.ts";
import { Rows } from "./rows.ts";

/** The points of every ring. */
const CAPACITY = 360;
/** Connections are seen at once, media time when the job reports it. */
const MAX_FIRST = 3;

/** Of the ring that adds a point. */
const lastRow = emptyRow();

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
  readonly #rows = new Rows(CAPACITY);

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
    return Array.from({ length: this.#rows.length }, (_, index) => pointOf(this.#rows.get(index)));
  }

  /** Returns one counter of the points that end after a time. This takes a tenth of the time of `points`. */
  countsSince(name: CountName, afterMs: number): CountedSpan[] {
    const column = columnOf(name);
    const spans: CountedSpan[] = [];
    for (let index = this.#rows.length - 1; index >= 0; index--) {
      const endMs = this.#rows.endMs(index);
      if (endMs <= afterMs) break;
      const [startMs, count] = [this.#rows.startMs(index), this.#rows.numberAt(index, column)];
      spans.push({ startMs, endMs, count: Number.isNaN(count) ? null : count });
    }
    return spans.reverse();
  }

  /** Adds a point to the last one as long as that is too short, else after it. */
  add(point: Point): void {
    this.addRow(rowOf(point));
  }

  /** The same with a point as numbers, which are not changed. */
  addRow(row: Row): void {
    const rows = this.#rows;
    const last = rows.length > 0 ? rows.get(rows.length - 1, lastRow) : undefined;
    if (last !== undefined && this.#hasRoom(last, row)) {
      mergeRow(last, row);
      rows.set(rows.length - 1, last);
    } else this.#push(row);
    if (this.#latestMs === undefined) return;
    while (rows.endMs(0) <= (row[END] as number) - this.#latestMs) rows.shift();
  }

  #push(row: Row): void {
    if (this.#rows.length === CAPACITY) {
      if (this.#latestMs !== undefined) this.#rows.shift();
      else this.#mergePairs();
    }
    this.#rows.push(row);
  }

  /**
   * Of the two lengths that the last point can have, the nearer one to the wanted length: timers are not exact. The first
   * points end where what is unknown at the start of a job becomes known.
   */
  #hasRoom(last: Row, added: Row): boolean {
    if (this.#rows.length <= MAX_FIRST && knowsMore(added, last)) return false;
    const lengthOf = (row: Row) => (row[END] as number) - (row[START] as number);
    return lengthOf(last) + Math.min(lengthOf(added), this.#pointMs) / 2 <= this.#pointMs;
  }

  #mergePairs(): void {
    this.#pointMs *= 2;
    for (let index = 0; index < CAPACITY; index += 2) {
      const merged = this.#rows.get(index);
      mergeRow(merged, this.#rows.get(index + 1));
      this.#rows.set(index / 2, merged);
    }
    this.#rows.truncate(CAPACITY / 2);
  }
}
