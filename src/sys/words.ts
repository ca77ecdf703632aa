// Numbers in the structures of the kernel, little-endian. Not by DataView: its first use makes the runtime create all types of
// buffers, 64 KB of memory that a waiting process keeps.

export function readU32(bytes: Uint8Array, offset: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(offset, offset + 4);
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

/** Reads a number of 64 bits; exact up to 2^53. */
export function readU64(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset) + readU32(bytes, offset + 4) * 2 ** 32;
}

export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  for (let index = 0; index < 4; index++) bytes[offset + index] = value >>> (8 * index);
}
