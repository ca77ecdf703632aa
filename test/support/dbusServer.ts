import { type BusValue, Reader, Writer } from "../../src/linux/dbus/wire.ts";

// The server's side of D-Bus messages: what the product does not need.

const LITTLE_ENDIAN = "l".charCodeAt(0);
const REPLY = 2;
const ERROR = 3;
const MEMBER = 3;
const ERROR_NAME = 4;
const REPLY_SERIAL = 5;
const SIGNATURE = 8;

export function decodeCall(bytes: Uint8Array): { serial: number; member: string; body: BusValue[] } {
  const reader = new Reader(bytes);
  const [, , , , , serial] = reader.read("yyyyuu") as number[];
  const [pairs] = reader.read("a(yv)") as [[code: number, value: BusValue][]];
  const fields = new Map(pairs);
  reader.align(8);
  const body = reader.read(String(fields.get(SIGNATURE) ?? ""));
  return { serial: serial ?? 0, member: String(fields.get(MEMBER)), body };
}

/** Encodes a reply, or an error where it has a name. */
export function encodeAnswer(
  replySerial: number,
  signature: string,
  values: readonly BusValue[],
  errorName?: string,
): Uint8Array {
  const writer = new Writer();
  writer.write("yyyyuu", [LITTLE_ENDIAN, errorName === undefined ? REPLY : ERROR, 0, 1, 0, 1]);
  const fields: BusValue[] = [
    [REPLY_SERIAL, { signature: "u", value: replySerial }],
    [SIGNATURE, { signature: "g", value: signature }],
    ...(errorName === undefined ? [] : [[ERROR_NAME, { signature: "s", value: errorName }]]),
  ];
  writer.write("a(yv)", [fields]);
  writer.align(8);
  const start = writer.length;
  writer.write(signature, values);
  writer.setUint32(4, writer.length - start);
  return writer.bytes();
}
