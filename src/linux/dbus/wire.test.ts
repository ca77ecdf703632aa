import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { type BusValue, MalformedMessage, Reader, typesIn, Writer } from "./wire.ts";

function written(signature: string, values: readonly BusValue[]): Uint8Array {
  const writer = new Writer();
  writer.write(signature, values);
  return writer.bytes();
}

/** A type with values of it. Variants are left out: they are written and read in different forms. */
const typed: fc.Arbitrary<[type: string, value: BusValue]> = fc.letrec<{ any: [string, BusValue] }>(
  (tie) => ({
    any: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.tuple(fc.constant("s"), fc.string()),
      fc.tuple(fc.constant("y"), fc.nat(255)),
      fc.tuple(fc.constant("i"), fc.integer()),
      fc.tuple(fc.constant("t"), fc.maxSafeNat()),
      fc.tuple(fc.constant("b"), fc.boolean()),
      tie("any").map(([type, value]): [string, BusValue] => [`a${type}`, [value, value]]),
      tie("any").map(([type]): [string, BusValue] => [`a${type}`, []]),
      fc
        .array(tie("any"), { minLength: 1, maxLength: 3 })
        .map((parts): [string, BusValue] => [
          `(${parts.map(([type]) => type).join("")})`,
          parts.map(([, value]) => value),
        ]),
    ),
  }),
).any;

function faultOf(act: () => unknown): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("values of D-Bus", () => {
  it("are read as they were written, whatever their type", () => {
    fc.assert(
      fc.property(fc.array(typed, { maxLength: 4 }), (parts) => {
        const signature = parts.map(([type]) => type).join("");
        const values = parts.map(([, value]) => value);
        expect(new Reader(written(signature, values)).read(signature)).toEqual(values);
      }),
    );
  });

  it("have the bytes of the specification", () => {
    // A byte; padding; an array of one struct, aligned to 8: a string and a variant of a 64-bit number.
    const bytes = written("ya(sv)", [7, [["ab", { signature: "t", value: 5 }]]]);
    expect([...bytes]).toEqual([
      ...[7, 0, 0, 0, 24, 0, 0, 0],
      ...[2, 0, 0, 0, 97, 98, 0, 1],
      ...[116, 0, 0, 0, 0, 0, 0, 0],
      ...[5, 0, 0, 0, 0, 0, 0, 0],
    ]);
    expect(new Reader(bytes).read("ya(sv)")).toEqual([7, [["ab", 5]]]);
  });

  it("above 2^53 are read exactly", () => {
    const infinity = 2n ** 64n - 1n;
    expect(new Reader(written("t", [infinity])).read("t")).toEqual([infinity]);
  });

  it("that are cut off or have a broken signature are malformed, and never read past their end", () => {
    const bytes = written("a(sas)", [[["name", ["x", "y"]]]]);
    for (let length = 0; length < bytes.length; length++)
      expect(() => new Reader(bytes.slice(0, length)).read("a(sas)")).toThrow(MalformedMessage);
    for (const signature of ["a", "(", "(s", "()", "a()", "{s", "z", "a".repeat(100)])
      expect(() => typesIn(signature)).toThrow(MalformedMessage);
  });

  it("of any bytes end in a value or a fault, not in a loop", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), typed, (bytes, [type]) => {
        expect(faultOf(() => new Reader(bytes).read(`v${type}`)) ?? new MalformedMessage()).toBeInstanceOf(
          MalformedMessage,
        );
      }),
    );
  });
});
