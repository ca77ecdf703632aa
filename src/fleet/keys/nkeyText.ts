/**
 * The text of an NKey: bytes with a checksum, in base32 (RFC 4648) without padding. Source:
 * https://github.com/nats-io/nkeys/blob/main/strkey.go
 */
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** Length of an Ed25519 key, public or secret. */
export const KEY_BYTES = 32;
const CHECKSUM_BYTES = 2;

export function encodeNKey(bytes: Uint8Array): string {
  const whole = new Uint8Array(bytes.length + CHECKSUM_BYTES);
  whole.set(bytes);
  new DataView(whole.buffer).setUint16(bytes.length, checksum(bytes), true);
  let [text, bits, value] = ["", 0, 0];
  for (const byte of whole) {
    value = (value << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
    value &= 0xff;
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

/** Returns the bytes of a text; `undefined` where it is no NKey, or another spelling of one. */
export function decodeNKey(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  let [bits, value] = [0, 0];
  for (const letter of text) {
    const digit = ALPHABET.indexOf(letter);
    if (digit < 0) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  const payload = Uint8Array.from(bytes.slice(0, -CHECKSUM_BYTES));
  return payload.length > 0 && encodeNKey(payload) === text ? payload : undefined;
}

/** CRC-16/XMODEM. */
function checksum(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    crc &= 0xffff;
  }
  return crc;
}
