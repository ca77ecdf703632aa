import { expect, test } from "bun:test";
import { nextSerial } from "./serials.ts";

test("the next serial is above the operator's own and above what nodes have accepted", () => {
  expect(nextSerial(0, [])).toEqual({ serial: 1, implausible: [] });
  expect(nextSerial(7, [["edge-1", 3]])).toEqual({ serial: 8, implausible: [] });
  // The hub was restored from an older backup.
  expect(nextSerial(3, [["edge-1", 9]])).toEqual({ serial: 10, implausible: [] });
});

test("a node cannot use up the numbers", () => {
  for (const lie of [Number.MAX_SAFE_INTEGER, 1e300, Number.NaN, 0.5, 2_000_000]) {
    const { serial, implausible } = nextSerial(7, [
      ["edge-1", 9],
      ["edge-2", lie],
    ]);
    expect([serial, implausible]).toEqual([10, [`edge-2 (${lie})`]]);
  }
});
