import { COMM_BYTES, commBytesOf } from "../proc/comm.ts";

/** A table of names has one byte for each value of a hash of this length. */
export const NAME_HASH_BITS = 14;
export const NAMES_BYTES = 1 << NAME_HASH_BITS;

/** Odd constants for a hash by multiplication, one for each word of a name: of the golden ratio and of square roots. */
export const NAME_FACTORS = [0x9e37_79b9, 0xbb67_ae85, 0x510e_527f, 0xa54f_f53b] as const;

// The name that is hashed, as the kernel keeps it: filled with NUL bytes, of which the last is one.
const name = new Uint8Array(COMM_BYTES);
const words = new Uint32Array(name.buffer);

/** Returns the place of a name in a table: of the bytes from `start` to before `end`, as many as the kernel keeps. */
function hashOfName(text: Uint8Array, start: number, end: number): number {
  const length = Math.min(end - start, COMM_BYTES - 1);
  for (let at = 0; at < COMM_BYTES; at++) name[at] = at < length ? (text[start + at] as number) : 0;
  let sum = 0;
  for (let at = 0; at < words.length; at++)
    sum = (sum + Math.imul(words[at] as number, NAME_FACTORS[at] as number)) | 0;
  return sum >>> (32 - NAME_HASH_BITS);
}

/** Replaces the names in a table. New ones are there before the others are gone, for a reader that reads meanwhile. */
export function replaceNames(table: Uint8Array, names: readonly string[]): void {
  const wanted = new Set(names.map((each) => hashOfName(commBytesOf(each), 0, COMM_BYTES)));
  for (const at of wanted) table[at] = 1;
  for (let at = 0; at < NAMES_BYTES; at++) if (table[at] !== 0 && !wanted.has(at)) table[at] = 0;
}

/** The byte that says which names there are. */
const WHICH_AT = NAMES_BYTES;
const [SOME, ALL, NONE] = [0, 1, 2];

/**
 * The names of executed files whose processes concern the main thread, in memory that it shares with the event thread, which
 * waits in the kernel and receives no messages. It has one byte for each value of a hash, so that each change is a single store.
 * Another name with the hash of a wanted one is taken for it.
 */
export class NameTable {
  readonly bytes: Uint8Array<SharedArrayBuffer>;

  /** `bytes`: the table of another thread. A new one has all names. */
  constructor(bytes?: Uint8Array<SharedArrayBuffer>) {
    this.bytes = bytes ?? new Uint8Array(new SharedArrayBuffer(NAMES_BYTES + 1));
    if (bytes === undefined) this.set(undefined);
  }

  /** Replaces the names; `undefined`: all. No moment exists in which a name of both lists is missing. */
  set(names: readonly string[] | undefined): void {
    if (names === undefined) {
      this.bytes[WHICH_AT] = ALL;
      return;
    }
    replaceNames(this.bytes, names);
    this.bytes[WHICH_AT] = names.length === 0 ? NONE : SOME;
  }

  hasAll(): boolean {
    return this.bytes[WHICH_AT] === ALL;
  }

  hasNone(): boolean {
    return this.bytes[WHICH_AT] === NONE;
  }

  /** Returns whether a text has a name from `start` to before `end`, in UTF-8. Compares as much of it as the kernel keeps. */
  has(text: Uint8Array, start: number, end: number): boolean {
    return this.hasAll() || this.bytes[hashOfName(text, start, end)] === 1;
  }
}
