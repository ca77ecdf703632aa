import { PackedRows } from "./packedRows.ts";
import { END, knowsMore, mergeRow, type Point, pointOf, type Row, rowOf, START } from "./points.ts";

/** The points of every ring. */
const CAPACITY = 360;
/** Connections are seen at once, media time when the job reports it. */
const MAX_FIRST = 3;

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
  /** All points but the last one. */
  #closed = new PackedRows();
  /** When the first one ends. */
  #firstEndMs = Number.POSITIVE_INFINITY;
  /** The last one, to which more can be added. */
  #open: Row | undefined;

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
    const points: Point[] = [];
    this.#closed.visit((row) => {
      points.push(pointOf(row));
    });
    if (this.#open !== undefined) points.push(pointOf(this.#open));
    return points;
  }

  get #length(): number {
    return this.#closed.length + (this.#open === undefined ? 0 : 1);
  }

  /** Adds a point to the last one as long as that is too short, else after it. */
  add(point: Point): void {
    this.addRow(rowOf(point));
  }

  /** The same with a point as numbers, which are not changed. */
  addRow(row: Row): void {
    if (this.#open !== undefined && this.#hasRoom(this.#open, row)) mergeRow(this.#open, row);
    else this.#push(row);
    if (this.#latestMs === undefined) return;
    while (this.#firstEndMs <= (row[END] as number) - this.#latestMs) this.#shift();
  }

  #push(row: Row): void {
    if (this.#length === CAPACITY) {
      if (this.#latestMs !== undefined) this.#shift();
      else this.#mergePairs();
    }
    if (this.#open === undefined) {
      this.#open = row.slice();
      return;
    }
    if (this.#closed.length === 0) this.#firstEndMs = this.#open[END] as number;
    this.#closed.push(this.#open);
    this.#open.set(row);
  }

  #shift(): void {
    this.#closed.shift();
    this.#firstEndMs = this.#closed.length === 0 ? Number.POSITIVE_INFINITY : this.#closed.firstEndMs();
  }

  /**
   * Of the two lengths that the last point can have, the nearer one to the wanted length: timers are not exact. The first
   * points end where what is unknown at the start of a job becomes known.
   */
  #hasRoom(last: Row, added: Row): boolean {
    if (this.#length <= MAX_FIRST && knowsMore(added, last)) return false;
    const lengthOf = (row: Row) => (row[END] as number) - (row[START] as number);
    return lengthOf(last) + Math.min(lengthOf(added), this.#pointMs) / 2 <= this.#pointMs;
  }

  #mergePairs(): void {
    this.#pointMs *= 2;
    const merged = new PackedRows();
    let first: Row | undefined;
    const add = (row: Row) => {
      if (first === undefined) {
        first = row.slice();
        return;
      }
      mergeRow(first, row);
      merged.push(first);
      first = undefined;
    };
    this.#closed.visit(add);
    if (this.#open !== undefined) add(this.#open);
    this.#open = undefined;
    this.#closed = merged;
  }
}
