import { type BusValue, MalformedMessage, Reader, Writer } from "./wire.ts";

/** A method call. */
export interface Call {
  /** The name of a service, on a bus with several. */
  destination?: string;
  path: string;
  interface: string;
  member: string;
  signature: string;
  body: readonly BusValue[];
}

/** A message to us. `replySerial`: the serial of the call that it answers. */
export interface Received {
  kind: "reply" | "error" | "other";
  replySerial: number | undefined;
  /** `org.freedesktop.DBus.Error.AccessDenied` */
  errorName: string | undefined;
  body: BusValue[];
}

const LITTLE_ENDIAN = "l".charCodeAt(0);
const VERSION = 1;
const METHOD_CALL = 1;
const KINDS: Record<number, Received["kind"]> = { 2: "reply", 3: "error" };
// Codes of header fields.
const PATH = 1;
const INTERFACE = 2;
const MEMBER = 3;
const ERROR_NAME = 4;
const REPLY_SERIAL = 5;
const DESTINATION = 6;
const SIGNATURE = 8;

/** endianness, type, flags, version, length of the body, serial; then the length of the fields. */
const FIXED_HEADER = "yyyyuu";
export const HEADER_BYTES = 16;
const BODY_LENGTH_AT = 4;
/** The largest message, says the specification: 128 MiB. What we ask for is a few kB. */
const MAX_MESSAGE_BYTES = 16 * 1024 ** 2;

export function encodeCall(serial: number, call: Call): Uint8Array {
  const writer = new Writer();
  writer.write(FIXED_HEADER, [LITTLE_ENDIAN, METHOD_CALL, 0, VERSION, 0, serial]);
  const fields: [code: number, signature: string, value: string | undefined][] = [
    [PATH, "o", call.path],
    [INTERFACE, "s", call.interface],
    [MEMBER, "s", call.member],
    [DESTINATION, "s", call.destination],
    [SIGNATURE, "g", call.signature === "" ? undefined : call.signature],
  ];
  const present = fields.filter((field) => field[2] !== undefined);
  writer.write("a(yv)", [
    present.map(([code, signature, value]) => [code, { signature, value: value as string }]),
  ]);
  writer.align(8);
  const start = writer.length;
  writer.write(call.signature, call.body);
  writer.setUint32(BODY_LENGTH_AT, writer.length - start);
  return writer.bytes();
}

/** Returns the length of a message from its first 16 bytes. Throws MalformedMessage. */
export function messageLength(header: Uint8Array): number {
  if (header[0] !== LITTLE_ENDIAN) throw new MalformedMessage("the byte order is not little endian");
  const [, , , , bodyLength, , fieldsLength] = new Reader(header).read("yyyyuuu") as number[];
  const fieldsEnd = HEADER_BYTES + (fieldsLength ?? 0);
  const length = fieldsEnd + ((8 - (fieldsEnd % 8)) % 8) + (bodyLength ?? 0);
  if (length > MAX_MESSAGE_BYTES) throw new MalformedMessage(`a message of ${length} bytes`);
  return length;
}

export function decodeMessage(bytes: Uint8Array): Received {
  const reader = new Reader(bytes);
  const [, type] = reader.read(FIXED_HEADER) as number[];
  const [pairs] = reader.read("a(yv)") as [[code: number, value: BusValue][]];
  const fields = new Map(pairs);
  reader.align(8);
  return {
    kind: KINDS[type ?? 0] ?? "other",
    replySerial: fields.get(REPLY_SERIAL) as number | undefined,
    errorName: fields.get(ERROR_NAME) as string | undefined,
    body: reader.read((fields.get(SIGNATURE) as string | undefined) ?? ""),
  };
}
