import { expect, test } from "bun:test";
import fc from "fast-check";
import { TRACK_MS, Track, type TrackPoint } from "./track.ts";

const point = (startBootMs: number, endBootMs: number, cores: number | null, speed: number | null = null) =>
  ({ startBootMs, endBootMs, cores, speed, sent: null }) satisfies TrackPoint;

function trackOf(...points: TrackPoint[]): Track {
  const track = new Track();
  for (const each of points) track.add(each);
  return track;
}

test("a part of time gets the average of what was measured in it, and null where nothing was", () => {
  const track = trackOf(point(0, 10_000, 1), point(10_000, 20_000, 3), point(30_000, 40_000, 5));
  expect(track.samples("cores", 40_000, 40_000, 4)).toEqual([1, 3, null, 5]);
  expect(track.samples("cores", 40_000, 40_000, 2)).toEqual([2, 5]);
  expect(track.averageOf("cores", 40_000, 15_000)).toBe(5);
  expect(track.averageOf("speed", 40_000, 15_000)).toBeNull();
});

test("a span that is known in part is not counted twice", () => {
  const track = trackOf(point(0, 10_000, 1), point(5000, 15_000, 4), point(3000, 9000, 100));
  expect(track.points).toEqual([point(0, 10_000, 1), point(10_000, 15_000, 4)]);
});

test("short spans are joined, in proportion to their lengths", () => {
  expect(trackOf(point(0, 1000, 1, 2), point(1000, 1400, 2), point(1400, 2400, 6)).points).toEqual([
    point(0, 2400, (1000 + 800 + 6000) / 2400, 2),
  ]);
});

test("what another process has measured is put before, and the own part after it stays", () => {
  const track = trackOf(point(8000, 10_000, 7), point(20_000, 22_000, 8));
  track.replaceEarlier([point(0, 5000, 1), point(5000, 10_000, 2)]);
  expect(track.points.map(({ cores }) => cores)).toEqual([1, 2, 8]);
  track.replaceEarlier([]);
  expect(track.points.length).toBe(3);
});

test("however often it is measured, a track has 10 minutes in a bounded number of spans", () => {
  fc.assert(
    fc.property(fc.integer({ min: 50, max: 20_000 }), (intervalMs) => {
      const track = new Track();
      for (let ms = 0; ms < 3 * TRACK_MS; ms += intervalMs) track.add(point(ms, ms + intervalMs, 1));
      const [first, last] = [track.points[0], track.points.at(-1)] as [TrackPoint, TrackPoint];
      expect(track.points.length).toBeLessThanOrEqual(402);
      expect(last.endBootMs - first.endBootMs).toBeLessThan(TRACK_MS);
      expect(last.endBootMs - first.startBootMs).toBeGreaterThanOrEqual(TRACK_MS - intervalMs);
    }),
    { numRuns: 20 },
  );
});
