import { expect, test } from "bun:test";
import { UseWindow } from "./useWindow.ts";

const SECOND = 1e6;

/** A window after these readings: ms, cores of the machine since the reading before, and those of each batch job. */
function windowOf(...readings: [atMs: number, busy: number, batch: Record<string, number>][]) {
  const window = new UseWindow();
  const used = { busy: 500 * SECOND, batch: new Map<string, number>() };
  let lastMs = 0;
  for (const [atMs, busy, batch] of readings) {
    const seconds = (atMs - lastMs) / 1000;
    lastMs = atMs;
    used.busy += busy * seconds * SECOND;
    used.batch = new Map(
      Object.entries(batch).map(([key, cores]) => [
        key,
        (used.batch.get(key) ?? 0) + cores * seconds * SECOND,
      ]),
    );
    window.add({ atMs, busyUsec: used.busy, batchUsec: used.batch });
  }
  return window;
}

test("the use of the others is that of the machine without batch, at its peak of the last 2 s", () => {
  const window = windowOf([0, 0, { a: 0 }], [500, 3, { a: 1 }], [1000, 2, { a: 1.5 }], [1500, 2.5, { a: 1 }]);
  expect(window.othersCores()).toBe(2);
  expect(window.useOf("a")).toBe(1.5);
  expect(window.ageMs(1700)).toBe(200);
});

test("a peak is forgotten after 2 s", () => {
  const rest = [1000, 1500, 2000, 2500].map((atMs): [number, number, object] => [atMs, 1, {}]);
  const window = windowOf([0, 0, {}], [500, 4, {}], ...(rest as [number, number, Record<string, number>][]));
  expect(window.othersCores()).toBe(1);
});

test("a first reading, and one after a pause, are no samples", () => {
  expect(windowOf([0, 0, {}]).othersCores()).toBeNull();
  const window = windowOf([0, 0, {}], [500, 1, {}], [5000, 4, {}]);
  expect(window.othersCores()).toBe(1);
  expect(window.ageMs(5000)).toBe(4500);
});

test("the end of a batch job is no peak of the others, unless jobs end all the time", () => {
  const ended = windowOf([0, 0, { a: 0 }], [500, 2, { a: 2 }], [1000, 2, {}]);
  expect(ended.othersCores()).toBe(0);
  const often = windowOf(
    [0, 0, { a: 0 }],
    [500, 2, { a: 2 }],
    [1000, 2, { b: 0 }],
    [1500, 2, { c: 0 }],
    [2000, 2, { d: 0 }],
  );
  expect(often.othersCores()).toBe(2);
});

test("a reading with less than before, or with no number, is no sample, and nor is the one after no number", () => {
  const window = new UseWindow();
  const add = (atMs: number, busyUsec: number) => window.add({ atMs, busyUsec, batchUsec: new Map() });
  add(0, 100 * SECOND);
  add(500, 50 * SECOND);
  expect(window.othersCores()).toBeNull();
  add(1000, 51 * SECOND);
  expect(window.othersCores()).toBe(2);
  add(1500, Number.NaN);
  add(2000, 60 * SECOND);
  expect([window.othersCores(), window.ageMs(2000)]).toEqual([2, 1000]);
});
