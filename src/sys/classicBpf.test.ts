import { expect, test } from "bun:test";
import { runBpf } from "../../test/support/bpfInterpreter.ts";
import {
  answer,
  assemble,
  ifAtLeast,
  ifEquals,
  ifEqualsOther,
  label,
  load,
  loadOther,
  store,
} from "./classicBpf.ts";

function run(program: Uint8Array, ...words: number[]): number {
  return runBpf(program, (offset) => words[offset / 4]);
}

test("a comparison goes on with the next line or at its label", () => {
  const program = assemble([
    load(0),
    ifEquals(7, "seven"),
    ifAtLeast(100, "many", "few"),
    label("seven"),
    answer(1),
    label("many"),
    answer(2),
    label("few"),
    answer(3),
  ]);
  expect(run(program, 7)).toBe(1);
  expect(run(program, 0xffff_ffff)).toBe(2);
  expect(run(program, 99)).toBe(3);
});

test("two loaded words are compared with each other", () => {
  const program = assemble([
    load(0),
    store(3),
    loadOther(3),
    load(4),
    ifEqualsOther(undefined, "different"),
    answer(1),
    label("different"),
    answer(0),
  ]);
  expect(run(program, 5, 5)).toBe(1);
  expect(run(program, 5, 6)).toBe(0);
});

test("the bytes are those of struct sock_filter", () => {
  expect([...assemble([ifEquals(0x01020304, "end"), answer(0), label("end"), answer(0xffff_ffff)])]).toEqual([
    0x15, 0, 1, 0, 4, 3, 2, 1, 0x06, 0, 0, 0, 0, 0, 0, 0, 0x06, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
  ]);
});

test("a jump to nowhere, backwards or too far is refused", () => {
  expect(() => assemble([ifEquals(1, "nowhere"), answer(0)])).toThrow('"nowhere", which is no label');
  expect(() => assemble([label("start"), ifEquals(1, "start"), answer(0)])).toThrow("over -1 instructions");
  const far = Array.from({ length: 256 }, () => answer(0));
  expect(() => assemble([ifEquals(1, "far"), ...far, label("far"), answer(1)])).toThrow(
    "over 256 instructions",
  );
});
