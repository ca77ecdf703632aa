import { COMM_BYTES } from "./cnProc.ts";

const HASH_BITS = 14;
const BYTES_OF_NAMES = 1 << HASH_BITS;
/** The byte that says which names there are. */
const WHICH_AT = BYTES_OF_NAMES;
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
    this.bytes = bytes ?? new Uint8Array(new SharedArrayBuffer(BYTES_OF_NAMES + 1));
    if (bytes === undefined) this.set(undefined);
  }

  /** Replaces the names, as the kernel cuts them; `undefined`: all. No moment exists in which a name of both lists is missing. */
  set(names: readonly string[] | undefined): void {
    if (names === undefined) {
      this.bytes[WHICH_AT] = ALL;
      return;
    }
    const wanted = new Set(names.map(hashOf));
    for (const at of wanted) this.bytes[at] = 1;
    for (let at = 0; at < BYTES_OF_NAMES; at++)
      if (this.bytes[at] !== 0 && !wanted.has(at)) this.bytes[at] = 0;
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
    return this.hasAll() || this.bytes[hashOf(name)] === 1;
  }
}

/** FNV-1a of the first code units, folded. */
function hashOf(name: string): number {
  const end = Math.min(name.length, COMM_BYTES - 1);
  let hash = 0x811c_9dc5;
  for (let at = 0; at < end; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x0100_0193);
  return (hash ^ (hash >>> HASH_BITS)) & (BYTES_OF_NAMES - 1);
}
