// A number as what it differs by from an expected one, in as few bytes as that needs. The first byte has five bits of the
// difference, each byte after it seven more, the lowest first:
//
//   bit 0  another byte follows
//   bit 1  the number is smaller than expected
//   bit 2  the difference is counted in pages: memory and file I/O are
//
// A difference of 0 is never written, so two first bytes without one have a meaning of their own.

const MORE = 1;
const SMALLER = 2;
const IN_PAGES = 4;
const FIRST_UNIT = 8;
const FIRST_RANGE = 32;
const RANGE = 128;
const PAGE = 4096;

const UNKNOWN = 0;
/** A number that is negative, broken or too large for exact differences. Its eight bytes follow. */
const AS_IT_IS = SMALLER;

/** The most bytes of a number: those of 2 ** 53 are 8. */
export const MAX_NUMBER_BYTES = 9;

const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);

/** A place in packed bytes. Reading and writing move it. */
export interface Cursor {
  bytes: Uint8Array;
  at: number;
}

/** Returns whether two numbers are the same, or both unknown. */
export function isSame(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

/** Writes a number that is not the same as the expected one. NaN is unknown. */
export function writeNumber(cursor: Cursor, value: number, expected: number): void {
  const { bytes } = cursor;
  if (!isExact(value)) {
    bytes[cursor.at++] = Number.isNaN(value) ? UNKNOWN : AS_IT_IS;
    if (Number.isNaN(value)) return;
    double[0] = value;
    bytes.set(doubleBytes, cursor.at);
    cursor.at += doubleBytes.length;
    return;
  }
  const difference = value - baseOf(expected);
  let rest = Math.abs(difference);
  const pages = rest / PAGE;
  const isInPages = Number.isInteger(pages);
  if (isInPages) rest = pages;
  const flags = (difference < 0 ? SMALLER : 0) | (isInPages ? IN_PAGES : 0);
  let [above, range, unit] = [Math.floor(rest / FIRST_RANGE), FIRST_RANGE, FIRST_UNIT];
  let first = flags;
  for (;;) {
    bytes[cursor.at++] = first + (rest - above * range) * unit + (above > 0 ? MORE : 0);
    if (above === 0) return;
    rest = above;
    above = Math.floor(rest / RANGE);
    [range, unit, first] = [RANGE, 2, 0];
  }
}

/** Reads a number that was written with the same expected one. */
export function readNumber(cursor: Cursor, expected: number): number {
  const { bytes } = cursor;
  const first = bytes[cursor.at++] as number;
  if (first === UNKNOWN) return Number.NaN;
  if (first === AS_IT_IS) {
    doubleBytes.set(bytes.subarray(cursor.at, cursor.at + doubleBytes.length));
    cursor.at += doubleBytes.length;
    return double[0] as number;
  }
  let difference = Math.floor(first / FIRST_UNIT);
  let unit = FIRST_RANGE;
  for (let byte = first; (byte & MORE) !== 0; unit *= RANGE) {
    byte = bytes[cursor.at++] as number;
    difference += (byte >> 1) * unit;
  }
  if ((first & IN_PAGES) !== 0) difference *= PAGE;
  return baseOf(expected) + ((first & SMALLER) === 0 ? difference : -difference);
}

function isExact(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** The difference of any exact number from −1 is exact too, and not 0. */
function baseOf(expected: number): number {
  return isExact(expected) ? expected : -1;
}
