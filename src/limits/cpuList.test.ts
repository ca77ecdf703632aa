import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseCpuList } from "./cpuList.ts";

test.each([
  ["0", [0]],
  ["0-3", [0, 1, 2, 3]],
  ["8,0-1", [0, 1, 8]],
  ["1,1,0-1", [0, 1]],
  [" 2 , 4-5 ", [2, 4, 5]],
  ["8191", [8191]],
])("%j names CPUs", (text, cpus) => {
  expect(parseCpuList(text)).toEqual(cpus);
});

test.each(["", ",", "0,", "a", "3-1", "-1", "0-", "0--1", "1.5", "8192", "0-99999", "0x1", "1e2", "0 1"])(
  "%j is no list of CPUs",
  (text) => {
    expect(parseCpuList(text)).toBeUndefined();
  },
);

test("any list of ranges is read back as its numbers, and any text as numbers or as nothing", () => {
  const range = fc.tuple(fc.nat(300), fc.nat(20)).map(([first, length]) => [first, first + length] as const);
  fc.assert(
    fc.property(fc.array(range, { minLength: 1 }), (ranges) => {
      const text = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join();
      const numbers = new Set(
        ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, n) => first + n)),
      );
      expect(parseCpuList(text)).toEqual([...numbers].sort((a, b) => a - b));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("0", "1", "9", "-", ",", " ", "a") }), (text) => {
      const cpus = parseCpuList(text);
      expect(cpus?.every((cpu) => Number.isSafeInteger(cpu) && cpu >= 0 && cpu <= 8191) ?? true).toBe(true);
    }),
  );
});
