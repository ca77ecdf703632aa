import { expect, test } from "bun:test";
import { TimeMap, unevenTimes } from "./timeMap.ts";

const END = { bytes: 1000, seconds: 100 };

test("time between two known places is proportional to the bytes between them", () => {
  const map = new TimeMap(
    [
      { bytes: 100, seconds: 0 },
      { bytes: 200, seconds: 50 },
    ],
    END,
  );
  expect([0, 100, 150, 200, 600, 1000, 2000].map((bytes) => map.secondsAt(bytes))).toEqual([
    0, 0, 25, 50, 75, 100, 100,
  ]);
  expect(map.isLinear).toBe(false);
});

test("places that do not rise are left out", () => {
  const map = new TimeMap(
    [
      { bytes: 100, seconds: 0 },
      { bytes: 900, seconds: 10 },
      { bytes: 500, seconds: 50 },
      { bytes: 1200, seconds: 60 },
    ],
    END,
  );
  expect(map.points).toEqual([{ bytes: 100, seconds: 0 }, { bytes: 900, seconds: 10 }, END]);
});

test("without any place the map is linear", () => {
  const map = new TimeMap([], END);
  expect([0, 500, 1000].map((bytes) => map.secondsAt(bytes))).toEqual([0, 50, 100]);
  expect(map.isLinear).toBe(true);
});

test("further points are where the data rate changes", () => {
  const points = [
    { bytes: 0, seconds: 0 },
    { bytes: 100, seconds: 10 },
    { bytes: 200, seconds: 20 },
    { bytes: 800, seconds: 30 },
    { bytes: 900, seconds: 40 },
    { bytes: 1000, seconds: 50 },
  ];
  const times = unevenTimes(points, 6);
  expect(times).toHaveLength(6);
  expect(times.every((seconds) => seconds > 10 && seconds < 40)).toBe(true);
  expect(unevenTimes(points.slice(0, 3), 6)).toEqual([]);
  expect(unevenTimes([], 6)).toEqual([]);
});
