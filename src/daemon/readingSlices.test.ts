import { expect, test } from "bun:test";
import fc from "fast-check";
import { ReadingSlices, SLICES } from "./readingSlices.ts";

function slicesOf(count: number): { slices: ReadingSlices<number>; sizes: () => number[] } {
  const slices = new ReadingSlices<number>();
  for (let job = 0; job < count; job++) slices.add(job);
  return { slices, sizes: () => Array.from({ length: SLICES }, (_, index) => slices.at(index).size) };
}

test.each([
  ["few jobs are in one slice", 3, [3, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ["100 jobs are in two slices, half an interval apart", 100, [50, 0, 0, 0, 0, 50, 0, 0, 0, 0]],
  ["500 jobs are in all slices", 500, Array<number>(10).fill(50)],
  ["more jobs are spread evenly", 1000, Array<number>(10).fill(100)],
])("%s", (_, count, expected) => {
  expect(slicesOf(count).sizes()).toEqual(expected);
});

test("new jobs fill the fullest slice with room, so that slices become empty as jobs end", () => {
  const { slices, sizes } = slicesOf(150);
  for (let job = 0; job < 49; job++) slices.delete(job);
  for (let job = 60; job < 80; job++) slices.delete(job);
  for (let job = 200; job < 220; job++) slices.add(job);
  expect(sizes()).toEqual([1, 0, 50, 0, 0, 50, 0, 0, 0, 0]);
});

test("the steps lead through every slice with jobs, and through no other one", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 9 }), (count, start) => {
      const { slices, sizes } = slicesOf(count);
      const visited = new Set<number>();
      let at = start;
      for (let steps = 0; steps < SLICES; ) {
        const step = slices.stepsToNext(at);
        if (step === undefined) break;
        steps += step;
        at = (at + step) % SLICES;
        visited.add(at);
      }
      const used = sizes().flatMap((size, index) => (size > 0 ? [index] : []));
      expect([...visited].toSorted()).toEqual(used);
    }),
    { numRuns: 50 },
  );
});
