import { COMM_BYTES } from "./cnProc.ts";

/** A table of names has one byte for each value of a hash of this length. */
export const NAME_HASH_BITS = 14;
export const NAMES_BYTES = 1 << NAME_HASH_BITS;

/** Odd constants for a hash by multiplication: the golden ratio and the square root of 3. */
export const LOW_FACTOR = 0x9e37_79b9_7f4a_7c15n;
export const HIGH_FACTOR = 0xbb67_ae85_84ca_a73bn;

const ENCODER = new TextEncoder();

/** Returns the place of a name in a table, cut as the kernel cuts it. The kernel fills its name of a process with NUL bytes. */
function hashOfName(name: string): number {
  const bytes = new DataView(new ArrayBuffer(COMM_BYTES));
  ENCODER.encodeInto(name, new Uint8Array(bytes.buffer, 0, COMM_BYTES - 1));
  const sum = bytes.getBigUint64(0, true) * LOW_FACTOR + bytes.getBigUint64(8, true) * HIGH_FACTOR;
  return Number(BigInt.asUintN(64, sum) >> BigInt(64 - NAME_HASH_BITS));
}

/** Replaces the names in a table. New ones are there before the others are gone, for a reader that reads meanwhile. */
export function replaceNames(table: Uint8Array, names: readonly string[]): void {
  const wanted = new Set(names.map(hashOfName));
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

  /** Compares as much of a longer name as the kernel keeps. */
  has(name: string): boolean {
    return this.hasAll() || this.bytes[hashOfName(name)] === 1;
  }
}
