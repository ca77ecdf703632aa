/** The remainders of the 16 values of four bits, by the polynomial of ISO 3309 (0xedb88320, its lowest bit first). */
const REMAINDERS = [
  0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320,
  0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
];

/**
 * Returns the CRC-32 of a text in UTF-8, as `Bun.hash.crc32` does. The first use of `Bun.hash` makes the runtime create all of
 * its functions, which takes a launch longer than this for a short text.
 */
export function crc32(text: string): number {
  let remainder = 0xffffffff;
  const bytes = new TextEncoder().encode(text);
  // No iterator: its first use makes the runtime compile its functions.
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] as number;
    remainder = (remainder >>> 4) ^ (REMAINDERS[(remainder ^ byte) & 15] as number);
    remainder = (remainder >>> 4) ^ (REMAINDERS[(remainder ^ (byte >>> 4)) & 15] as number);
  }
  return ~remainder >>> 0;
}
