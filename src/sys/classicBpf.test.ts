import { expect, test } from "bun:test";
import { runBpf } from "../../test/support/bpfInterpreter.ts";
import {
  assemble,
  ifAtLeast,
  ifEquals,
  ifEqualsX,
  label,
  load,
  loadX,
  returnValue,
  store,
} from "./classicBpf.ts";

function run(program: Uint8Array, ...words: number[]): number {
  return runBpf(program, (offset) => words[offset / 4]);
}

test("a comparison continues with the next line or jumps to its label", () => {
  const program = assemble([
    load(0),
    ifEquals(7, "seven"),
    ifAtLeast(100, "many", "few"),
    label("seven"),
    returnValue(1),
    label("many"),
    returnValue(2),
    label("few"),
    returnValue(3),
  ]);
  expect(run(program, 7)).toBe(1);
  expect(run(program, 0xffff_ffff)).toBe(2);
  expect(run(program, 99)).toBe(3);
});

test("ifEqualsX() compares two loaded words", () => {
  const program = assemble([
    load(0),
    store(3),
    loadX(3),
    load(4),
    ifEqualsX(undefined, "different"),
    returnValue(1),
    label("different"),
    returnValue(0),
  ]);
  expect(run(program, 5, 5)).toBe(1);
  expect(run(program, 5, 6)).toBe(0);
});

test("assemble() returns the bytes of struct sock_filter", () => {
  expect([
    ...assemble([ifEquals(0x01020304, "end"), returnValue(0), label("end"), returnValue(0xffff_ffff)]),
  ]).toEqual([0x15, 0, 1, 0, 4, 3, 2, 1, 0x06, 0, 0, 0, 0, 0, 0, 0, 0x06, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
});

test("assemble() throws on a jump to an unknown label, backwards or too far", () => {
  expect(() => assemble([ifEquals(1, "nowhere"), returnValue(0)])).toThrow(
    '"nowhere": the program has no such label',
  );
  expect(() => assemble([label("start"), ifEquals(1, "start"), returnValue(0)])).toThrow(
    "over -1 instructions",
  );
  const far = Array.from({ length: 256 }, () => returnValue(0));
  expect(() => assemble([ifEquals(1, "far"), ...far, label("far"), returnValue(1)])).toThrow(
    "over 256 instructions",
  );
});
