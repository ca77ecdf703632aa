import { COUNTS, GAUGES, mergePoints, type Point } from "./points.ts";

/** The points of every ring. */
const CAPACITY = 360;
const FIRST_CAPACITY = 16;
/** The numbers of a point: start, end, each count, minimum and maximum of each gauge. */
const WIDTH = 2 + COUNTS.length + 2 * GAUGES.length;

/**
 * A bounded list of points, one after the other. When it is full, a ring of the latest time drops its oldest point; a ring
 * of the whole time merges its points in pairs, and has points of twice the length from then on.
 */
export class Ring {
  readonly #keeps: "latest" | "all";
  #pointMs: number;
  /** The points as rows of numbers, a third of the memory of objects. NaN is unknown. */
  #rows = new Float64Array(FIRST_CAPACITY * WIDTH);
  #length = 0;

  constructor(keeps: "latest" | "all", pointMs: number, points: readonly Point[] = []) {
    this.#keeps = keeps;
    this.#pointMs = pointMs;
    for (const point of points) this.#push(point);
  }

  /** The length of a point, in ms. */
  get pointMs(): number {
    return this.#pointMs;
  }

  get points(): Point[] {
    return Array.from({ length: this.#length }, (_, index) => this.#read(index));
  }

  /** Adds a point to the last one as long as that is too short, else after it. */
  add(point: Point): void {
    const last = this.#length > 0 ? this.#read(this.#length - 1) : undefined;
    if (last !== undefined && this.#hasRoom(last, point)) {
      this.#write(this.#length - 1, mergePoints(last, point));
      return;
    }
    this.#push(point);
  }

  #push(point: Point): void {
    if (this.#length === CAPACITY) {
      if (this.#keeps === "latest") this.#dropFirst();
      else this.#mergePairs();
    }
    if ((this.#length + 1) * WIDTH > this.#rows.length) {
      const larger = new Float64Array(Math.min(2 * this.#rows.length, CAPACITY * WIDTH));
      larger.set(this.#rows);
      this.#rows = larger;
    }
    this.#write(this.#length++, point);
  }

  /** Of the two lengths that the last point can have, the nearer one to the wanted length: timers are not exact. */
  #hasRoom(last: Point, { startMs, endMs }: Point): boolean {
    const addedMs = Math.min(endMs - startMs, this.#pointMs);
    return last.endMs - last.startMs + addedMs / 2 <= this.#pointMs;
  }

  #dropFirst(): void {
    this.#rows.copyWithin(0, WIDTH);
    this.#length--;
  }

  #mergePairs(): void {
    this.#pointMs *= 2;
    for (let index = 0; index < CAPACITY; index += 2)
      this.#write(index / 2, mergePoints(this.#read(index), this.#read(index + 1)));
    this.#length = CAPACITY / 2;
  }

  #write(index: number, { startMs, endMs, counts, gauges }: Point): void {
    const row = [
      ...[startMs, endMs],
      ...COUNTS.map((name) => counts[name] ?? Number.NaN),
      ...GAUGES.flatMap((name) => [gauges[name]?.min ?? Number.NaN, gauges[name]?.max ?? Number.NaN]),
    ];
    this.#rows.set(row, index * WIDTH);
  }

  #read(index: number): Point {
    const at = (column: number) => this.#rows[index * WIDTH + column] as number;
    const known = (value: number) => (Number.isNaN(value) ? null : value);
    const counts = COUNTS.map((name, n) => [name, known(at(2 + n))]);
    const gauges = GAUGES.map((name, n) => {
      const [min, max] = [0, 1].map((offset) => at(2 + COUNTS.length + 2 * n + offset)) as [number, number];
      return [name, Number.isNaN(min) ? null : { min, max }];
    });
    return {
      startMs: at(0),
      endMs: at(1),
      counts: Object.fromEntries(counts),
      gauges: Object.fromEntries(gauges),
    };
  }
}
