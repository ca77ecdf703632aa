/**
 * Values and messages of D-Bus as bytes, little endian. Source: the D-Bus specification, "Marshaling" and "Message
 * Protocol".
 */

/**
 * A value of D-Bus. Integers of 64 bits are read as bigint where they are larger than 2^53. Arrays and structs are
 * arrays; a dictionary is an array of pairs. A variant is read as its value, and written as a `Variant`.
 */
export type BusValue = string | number | bigint | boolean | BusValue[] | Variant;

export interface Variant {
  signature: string;
  value: BusValue;
}

export class MalformedMessage extends Error {}

interface Basic {
  /** Bytes, and their alignment. */
  size: 1 | 2 | 4 | 8;
  read(view: DataView, at: number): number | bigint;
  write(view: DataView, at: number, value: number | bigint): void;
}

// The last argument of each accessor: little endian.
const FIXED: Record<string, Basic> = {
  y: { size: 1, read: (v, at) => v.getUint8(at), write: (v, at, n) => v.setUint8(at, Number(n)) },
  n: { size: 2, read: (v, at) => v.getInt16(at, true), write: (v, at, n) => v.setInt16(at, Number(n), true) },
  q: {
    size: 2,
    read: (v, at) => v.getUint16(at, true),
    write: (v, at, n) => v.setUint16(at, Number(n), true),
  },
  i: { size: 4, read: (v, at) => v.getInt32(at, true), write: (v, at, n) => v.setInt32(at, Number(n), true) },
  u: {
    size: 4,
    read: (v, at) => v.getUint32(at, true),
    write: (v, at, n) => v.setUint32(at, Number(n), true),
  },
  h: {
    size: 4,
    read: (v, at) => v.getUint32(at, true),
    write: (v, at, n) => v.setUint32(at, Number(n), true),
  },
  b: {
    size: 4,
    read: (v, at) => v.getUint32(at, true),
    write: (v, at, n) => v.setUint32(at, Number(n), true),
  },
  x: {
    size: 8,
    read: (v, at) => v.getBigInt64(at, true),
    write: (v, at, n) => v.setBigInt64(at, BigInt(n), true),
  },
  t: {
    size: 8,
    read: (v, at) => v.getBigUint64(at, true),
    write: (v, at, n) => v.setBigUint64(at, BigInt(n), true),
  },
  d: {
    size: 8,
    read: (v, at) => v.getFloat64(at, true),
    write: (v, at, n) => v.setFloat64(at, Number(n), true),
  },
};

/** Containers in containers: 32 arrays and 32 structs at most, says the specification. */
const MAX_DEPTH = 64;

/** Splits a signature into its complete types: `sa(sv)u` → `s`, `a(sv)`, `u`. Throws MalformedMessage. */
export function typesIn(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at, 0);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, start: number, depth: number): number {
  const code = signature[start];
  if (code === undefined || depth > MAX_DEPTH) throw new MalformedMessage(`signature ${signature}`);
  if (code === "a") return endOfType(signature, start + 1, depth + 1);
  if (code !== "(" && code !== "{") {
    if (FIXED[code] || "sogv".includes(code)) return start + 1;
    throw new MalformedMessage(`signature ${signature}`);
  }
  const closing = code === "(" ? ")" : "}";
  let at = endOfType(signature, start + 1, depth + 1);
  while (signature[at] !== closing) at = endOfType(signature, at, depth + 1);
  return at + 1;
}

function alignmentOf(type: string): number {
  const code = type[0] as string;
  if (code === "(" || code === "{") return 8;
  if (code === "g" || code === "v") return 1;
  return FIXED[code]?.size ?? 4;
}

/** Writes values one after another. Positions are relative to the start of the message. */
export class Writer {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  align(alignment: number): void {
    this.#grow((alignment - (this.#length % alignment)) % alignment);
  }

  /** Writes values of these types. Throws TypeError for a value of another type. */
  write(signature: string, values: readonly BusValue[]): void {
    const types = typesIn(signature);
    if (types.length !== values.length) throw new TypeError(`${values.length} values for ${signature}`);
    for (const [index, type] of types.entries()) this.#value(type, values[index] as BusValue);
  }

  /** Replaces a `u` that was written earlier. */
  setUint32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  #value(type: string, value: BusValue): void {
    this.align(alignmentOf(type));
    const fixed = FIXED[type];
    if (fixed) {
      const at = this.#grow(fixed.size);
      fixed.write(this.#view, at, typeof value === "bigint" ? value : Number(value));
    } else if (type === "s" || type === "o") this.#string("u", String(value));
    else if (type === "g") this.#string("y", String(value));
    else if (type === "v") {
      const { signature, value: inner } = value as Variant;
      this.#string("y", signature);
      this.write(signature, [inner]);
    } else if (type[0] === "a") this.#array(type.slice(1), value as BusValue[]);
    else this.write(type.slice(1, -1), value as BusValue[]);
  }

  #array(type: string, values: readonly BusValue[]): void {
    const at = this.#grow(4);
    this.align(alignmentOf(type));
    const start = this.#length;
    for (const each of values) this.#value(type, each);
    this.setUint32(at, this.#length - start);
  }

  #string(lengthType: "u" | "y", text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#value(lengthType, bytes.length);
    const at = this.#grow(bytes.length + 1);
    this.#bytes.set(bytes, at);
  }

  /** Returns the position of the new bytes, which are zero. */
  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Reads values one after another. Throws MalformedMessage. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  align(alignment: number): void {
    this.#take((alignment - (this.#at % alignment)) % alignment);
  }

  read(signature: string, depth = 0): BusValue[] {
    return typesIn(signature).map((type) => this.#value(type, depth));
  }

  #value(type: string, depth: number): BusValue {
    if (depth > MAX_DEPTH) throw new MalformedMessage("values are nested too deeply");
    this.align(alignmentOf(type));
    const fixed = FIXED[type];
    if (fixed) {
      const value = fixed.read(this.#view, this.#take(fixed.size));
      if (type === "b") return value === 1;
      return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
    }
    if (type === "s" || type === "o") return this.#string(this.#value("u", depth) as number);
    if (type === "g") return this.#string(this.#value("y", depth) as number);
    if (type === "v") return this.read(this.#value("g", depth) as string, depth + 1)[0] as BusValue;
    if (type[0] !== "a") return this.read(type.slice(1, -1), depth + 1);
    const length = this.#value("u", depth) as number;
    const inner = type.slice(1);
    this.align(alignmentOf(inner));
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new MalformedMessage("an array is longer than its message");
    const values: BusValue[] = [];
    while (this.#at < end) values.push(this.#value(inner, depth + 1));
    return values;
  }

  #string(length: number): string {
    const at = this.#take(length + 1);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  #take(count: number): number {
    const at = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.length) throw new MalformedMessage("a message ends early");
    return at;
  }
}
