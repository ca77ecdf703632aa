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
  ["200 jobs are in two slices, half an interval apart", 200, [100, 0, 0, 0, 0, 100, 0, 0, 0, 0]],
  ["1000 jobs are in all slices", 1000, Array<number>(10).fill(100)],
  ["more jobs are spread evenly", 2000, Array<number>(10).fill(200)],
])("%s", (_, count, expected) => {
  expect(slicesOf(count).sizes()).toEqual(expected);
});

test("new jobs fill the fullest slice with room, so that slices become empty as jobs end", () => {
  const { slices, sizes } = slicesOf(300);
  for (let job = 0; job < 99; job++) slices.delete(job);
  for (let job = 120; job < 140; job++) slices.delete(job);
  for (let job = 400; job < 420; job++) slices.add(job);
  expect(sizes()).toEqual([1, 0, 100, 0, 0, 100, 0, 0, 0, 0]);
});

test("the steps lead through every slice with jobs, and through no other one", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1400 }), fc.integer({ min: 0, max: 9 }), (count, start) => {
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
