import { type Cursor, isSame, MAX_NUMBER_BYTES, readNumber, writeNumber } from "./packedNumber.ts";
import { END, emptyRow, FIRST_GAUGE, type Row, START, WIDTH } from "./points.ts";

/** A bit for each column from END on: it is not as expected, so that its number follows. */
const MASK_BYTES = Math.ceil((WIDTH - END) / 8);

/** The row that is being written. All calls share it: each is over before the next one begins. */
const written: Cursor = { bytes: new Uint8Array(MASK_BYTES + WIDTH * MAX_NUMBER_BYTES), at: 0 };

/**
 * A list of points as rows of numbers, each of which begins where the one before ends. In memory a row is what differs from
 * the row before, 30 to 50 bytes in place of 184: a column that is not measured, or does not change, costs one bit.
 */
export class PackedRows {
  #length = 0;
  #bytes = new Uint8Array(0);
  /** The bytes of the rows are between these two. */
  #begin = 0;
  #end = 0;
  /** The row from which the first one differs, and the last one. */
  readonly #before = emptyRow();
  readonly #last = emptyRow();

  get length(): number {
    return this.#length;
  }

  push(row: Row): void {
    if (this.#length === 0) this.#beginAt(row[START] as number);
    this.#append(packed(row, this.#last));
    this.#last.set(row);
    this.#length++;
  }

  /** Drops the first row. */
  shift(): void {
    const cursor = { bytes: this.#bytes, at: this.#begin };
    readRow(cursor, this.#before);
    this.#begin = cursor.at;
    this.#length--;
  }

  /** Returns the end of the first row. */
  firstEndMs(): number {
    const row = this.#before.slice();
    readRow({ bytes: this.#bytes, at: this.#begin }, row);
    return row[END] as number;
  }

  /** Calls a function with each row, the oldest first. The next call has the same array, with other numbers. */
  visit(visitor: (row: Row) => void): void {
    const [cursor, row] = [{ bytes: this.#bytes, at: this.#begin }, this.#before.slice()];
    for (let index = 0; index < this.#length; index++) {
      readRow(cursor, row);
      visitor(row);
    }
  }

  /** Before the first row there is one without a length of which nothing is known. */
  #beginAt(startMs: number): void {
    this.#before.fill(Number.NaN);
    this.#before[START] = startMs;
    this.#before[END] = startMs;
    this.#last.set(this.#before);
    this.#begin = 0;
    this.#end = 0;
  }

  #append(bytes: Uint8Array): void {
    const used = this.#end - this.#begin;
    const needed = used + bytes.length;
    if (this.#end + bytes.length > this.#bytes.length) {
      const rows = this.#bytes.subarray(this.#begin, this.#end);
      // An eighth more, so that few rows are copied twice.
      if (needed + needed / 16 > this.#bytes.length) this.#bytes = new Uint8Array(needed + (needed >> 3));
      this.#bytes.set(rows);
      this.#begin = 0;
      this.#end = used;
    }
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }
}

/** Returns what differs in a row from what the row before lets expect. The bytes are others after the next call. */
function packed(row: Row, before: Row): Uint8Array {
  const { bytes } = written;
  bytes.fill(0, 0, MASK_BYTES);
  written.at = MASK_BYTES;
  for (let column = END; column < WIDTH; column++) {
    const value = column === END ? lengthOf(row) : (row[column] as number);
    const expected = expectedIn(row, column, before);
    if (isSame(value, expected)) continue;
    const bit = column - END;
    bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
    writeNumber(written, value, expected);
  }
  return bytes.subarray(0, written.at);
}

/** Replaces a row by the one after it. */
function readRow(cursor: Cursor, row: Row): void {
  const mask = cursor.at;
  cursor.at += MASK_BYTES;
  for (let column = END; column < WIDTH; column++) {
    const bit = column - END;
    const differs = ((cursor.bytes[mask + (bit >> 3)] as number) & (1 << (bit & 7))) !== 0;
    const expected = expectedIn(row, column, row);
    const value = differs ? readNumber(cursor, expected) : expected;
    if (column === END) {
      row[START] = row[END] as number;
      row[END] = (row[START] as number) + value;
    } else row[column] = value;
  }
}

/** A point is as long as the one before, a maximum is the minimum, and all else is as before. */
function expectedIn(row: Row, column: number, before: Row): number {
  if (column === END) return lengthOf(before);
  const isMaximum = column > FIRST_GAUGE && (column - FIRST_GAUGE) % 2 === 1;
  return (isMaximum ? row[column - 1] : before[column]) as number;
}

function lengthOf(row: Row): number {
  return (row[END] as number) - (row[START] as number);
}
