import { END, emptyRow, type Row, START, WIDTH } from "./points.ts";

const FIRST_CAPACITY = 16;
/** The greatest number of a column of small numbers stands for an unknown one. */
const UNKNOWN = 2 ** 32 - 1;

/**
 * One number of each of many points, in half of the memory of doubles for as long as all are whole and small, as most counts
 * of 10 s are; in none while all are unknown.
 */
class Column {
  #values: Uint32Array | Float64Array | undefined;
  #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  at(place: number): number {
    const value = this.#values?.[place] ?? Number.NaN;
    return value === UNKNOWN && this.#values instanceof Uint32Array ? Number.NaN : value;
  }

  put(place: number, value: number): void {
    if (this.#values === undefined) {
      if (Number.isNaN(value)) return;
      this.#values = new Uint32Array(this.#capacity).fill(UNKNOWN);
    }
    const isUnknown = Number.isNaN(value);
    const isSmall = value >= 0 && value < UNKNOWN && Number.isInteger(value);
    if (this.#values instanceof Uint32Array && !isUnknown && !isSmall)
      this.#values = Float64Array.from(this.#values, (each) => (each === UNKNOWN ? Number.NaN : each));
    this.#values[place] = isUnknown && this.#values instanceof Uint32Array ? UNKNOWN : value;
  }

  /** Makes room for more. `first`: the place of the first number, which gets place 0. */
  grow(capacity: number, first: number): void {
    const before = this.#values;
    this.#capacity = capacity;
    if (before === undefined) return;
    const isSmall = before instanceof Uint32Array;
    this.#values = isSmall ? new Uint32Array(capacity).fill(UNKNOWN) : new Float64Array(capacity);
    this.#values.set(before.subarray(first));
    this.#values.set(before.subarray(0, first), before.length - first);
  }
}

/** A list of points as rows of numbers, each of which begins where the one before ends. */
export class Rows {
  readonly #most: number;
  readonly #columns: Column[];
  #capacity: number;
  /** The place of the first row in the columns, whose places are used in a circle. */
  #first = 0;
  #length = 0;
  /** Of the first row. */
  #startMs = 0;

  /** `most`: more rows are never pushed. */
  constructor(most: number) {
    this.#most = most;
    this.#capacity = Math.min(FIRST_CAPACITY, most);
    this.#columns = Array.from({ length: WIDTH }, () => new Column(this.#capacity));
  }

  get length(): number {
    return this.#length;
  }

  /** Returns a copy, in a new row or in the given one. */
  get(index: number, row: Row = emptyRow()): Row {
    const place = this.#placeOf(index);
    for (let column = END; column < WIDTH; column++) row[column] = this.#numberAt(column, place);
    row[START] = index === 0 ? this.#startMs : this.endMs(index - 1);
    return row;
  }

  endMs(index: number): number {
    return this.#numberAt(END, this.#placeOf(index));
  }

  set(index: number, row: Row): void {
    if (index === 0) this.#startMs = row[START] as number;
    const place = this.#placeOf(index);
    for (let column = END; column < WIDTH; column++) this.#columns[column]?.put(place, row[column] as number);
  }

  push(row: Row): void {
    if (this.#length === this.#capacity) this.#grow();
    this.set(this.#length++, row);
  }

  shift(): void {
    this.#startMs = this.endMs(0);
    this.#first = this.#placeOf(1);
    this.#length--;
  }

  /** Keeps the first ones. */
  truncate(length: number): void {
    this.#length = length;
  }

  #numberAt(column: number, place: number): number {
    return (this.#columns[column] as Column).at(place);
  }

  #placeOf(index: number): number {
    return (this.#first + index) % this.#capacity;
  }

  #grow(): void {
    this.#capacity = Math.min(2 * this.#capacity, this.#most);
    for (const column of this.#columns) column.grow(this.#capacity, this.#first);
    this.#first = 0;
  }
}
