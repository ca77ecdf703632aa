import { addressOf } from "./libc.ts";

const DIGIT_0 = "0".charCodeAt(0);
/** Of the largest number of 32 bits. */
const MAX_DIGITS = 10;
const ENCODER = new TextEncoder();

/** Is a path with a number of up to 32 bits in it. No text is made of a number: system calls are made for thousands of them. */
export class NumberedPath {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #after: Uint8Array;
  readonly #address: number;

  constructor(before: string, after: string) {
    const start = ENCODER.encode(before);
    this.#after = ENCODER.encode(`${after}\0`);
    this.#start = start.length;
    this.#bytes = new Uint8Array(start.length + MAX_DIGITS + this.#after.length);
    this.#bytes.set(start);
    this.#address = addressOf(this.#bytes);
  }

  /** Returns the address of the path with this integer of 0 or more, valid until the next call. */
  with(number: number): number {
    const bytes = this.#bytes;
    let end = this.#start;
    for (let rest = number; rest >= 1 || end === this.#start; rest /= 10) end++;
    let rest = number;
    for (let at = end - 1; at >= this.#start; at--) {
      bytes[at] = DIGIT_0 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    for (let at = 0; at < this.#after.length; at++) bytes[end + at] = this.#after[at] as number;
    return this.#address;
  }
}
