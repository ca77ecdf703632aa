// Numbers in the structures of the kernel, little-endian. Not by DataView: its first use makes the runtime create all types of
// buffers, 64 KB of memory that a waiting process keeps.

export function readU32(bytes: Uint8Array, offset: number): number {
  const low = (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
  const high = (bytes[offset + 2] ?? 0) | ((bytes[offset + 3] ?? 0) << 8);
  return (low | (high << 16)) >>> 0;
}

/** Reads a number of 64 bits; exact up to 2^53. */
export function readU64(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset) + readU32(bytes, offset + 4) * 2 ** 32;
}

/** Returns a struct timespec { i64 tv_sec; i64 tv_nsec; } of a whole number of milliseconds. */
export function timespec(ms: number): Uint8Array {
  const words = new Uint8Array(16);
  writeU32(words, 0, (ms - (ms % 1000)) / 1000);
  writeU32(words, 8, (ms % 1000) * 1e6);
  return words;
}

export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  for (let index = 0; index < 4; index++) bytes[offset + index] = value >>> (8 * index);
}
