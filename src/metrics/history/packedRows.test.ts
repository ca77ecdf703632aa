import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Cursor, isSame, MAX_NUMBER_BYTES, readNumber, writeNumber } from "./packedNumber.ts";
import { PackedRows } from "./packedRows.ts";
import { END, emptyRow, START, WIDTH } from "./points.ts";

const number = fc.oneof(
  fc.nat({ max: 200 }),
  fc.maxSafeNat(),
  fc.maxSafeNat().map((value) => value - (value % 4096)),
  fc.constantFrom(
    0,
    1,
    4096,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53 - 1,
    2 ** 53,
    -1,
    0.5,
    1e300,
    Number.NaN,
  ),
  // No −0, which no counter is.
  fc.double().map((value) => value + 0),
);

function rowsOf(packed: PackedRows): number[][] {
  const rows: number[][] = [];
  packed.visit((row) => {
    rows.push([...row]);
  });
  return rows;
}

test("a number is read as it was written, whatever was expected", () => {
  const cursor: Cursor = { bytes: new Uint8Array(MAX_NUMBER_BYTES), at: 0 };
  fc.assert(
    fc.property(number, number, (value, expected) => {
      fc.pre(!isSame(value, expected));
      cursor.at = 0;
      writeNumber(cursor, value, expected);
      const end = cursor.at;
      cursor.at = 0;
      expect(readNumber(cursor, expected)).toBe(value);
      expect(cursor.at).toBe(end);
    }),
    { numRuns: 2000 },
  );
});

test("packed rows are those of a plain list, which are pushed and dropped in any order", () => {
  // Some columns stand still for a while, as those of real jobs do.
  const change = fc.record({
    lengthMs: fc.integer({ min: 1, max: 100_000 }),
    columns: fc.array(fc.record({ column: fc.integer({ min: END + 1, max: WIDTH - 1 }), number }), {
      maxLength: 6,
    }),
  });
  const step = fc.oneof({ weight: 3, arbitrary: change }, { weight: 2, arbitrary: fc.constant("shift") });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const packed = new PackedRows();
      const plain: number[][] = [];
      const row = emptyRow().fill(Number.NaN);
      row[END] = 4_294_900_000;
      for (const each of steps) {
        if (typeof each === "string") {
          if (plain.shift() === undefined) continue;
          packed.shift();
        } else {
          row[START] = row[END] as number;
          row[END] = (row[START] as number) + each.lengthMs;
          for (const { column, number: value } of each.columns) row[column] = value;
          plain.push([...row]);
          packed.push(row);
        }
        expect(packed.length).toBe(plain.length);
        expect(plain[0] === undefined || packed.firstEndMs() === plain[0][END]).toBe(true);
      }
      expect(rowsOf(packed)).toEqual(plain);
    }),
    { numRuns: 300 },
  );
});

test("a list can begin again after its last row was dropped", () => {
  const packed = new PackedRows();
  const row = emptyRow();
  row[END] = 10;
  packed.push(row);
  packed.shift();
  [row[START], row[END]] = [500, 600];
  packed.push(row);
  expect(rowsOf(packed)).toEqual([[...row]]);
});
