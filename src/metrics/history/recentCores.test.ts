import { expect, test } from "bun:test";
import { COUNTS, type Point } from "./points.ts";
import { recentCores } from "./recentCores.ts";

const point = (startSecond: number, endSecond: number, cores: number | null) => ({
  startMs: startSecond * 1000,
  endMs: endSecond * 1000,
  counts: {
    ...Object.fromEntries(COUNTS.map((name) => [name, null])),
    cpuUsec: cores === null ? null : cores * (endSecond - startSecond) * 1e6,
  } as Point["counts"],
});

test("each value is the use in 5 s, of however many points", () => {
  const seconds = Array.from({ length: 200 }, (_, second) => point(second, second + 1, second < 195 ? 1 : 2));
  expect(recentCores(seconds)).toEqual([...Array(23).fill(1), 2]);
  const slow = Array.from({ length: 20 }, (_, n) => point(10 * n, 10 * n + 10, n < 19 ? 0.5 : 1.5));
  expect(recentCores(slow)).toEqual([...Array(22).fill(0.5), 1.5, 1.5]);
});

test("a time without points, and one whose use is unknown, have no value", () => {
  expect(recentCores([])).toEqual(Array(24).fill(null));
  const points = [point(1000, 1010, 1), point(1010, 1020, null), point(1020, 1030, 2)];
  expect(recentCores(points)).toEqual([...Array(18).fill(null), 1, 1, null, null, 2, 2]);
});

test("the present 5 s have no value before they are over, so that no value changes", () => {
  const points = [point(1000, 1010, 1)];
  expect(recentCores([...points, point(1010, 1013, 4)])).toEqual(recentCores(points));
});
