import { expect, test } from "bun:test";
import { SpeedMeter } from "./speed.ts";

function run(points: [atSeconds: number, mediaSeconds: number][], windowMs?: number): SpeedMeter {
  const meter = new SpeedMeter();
  for (const [atSeconds, mediaSeconds] of points)
    meter.add({ atBootMs: 1000 * atSeconds, mediaSeconds }, windowMs);
  return meter;
}

const each = (from: number, to: number, factor: number, offset = 0) =>
  Array.from({ length: to - from + 1 }, (_, i): [number, number] => [from + i, offset + (from + i) * factor]);

test("the speed is that of the last 15 seconds, not an average since the start", () => {
  const meter = run([...each(0, 60, 2), ...each(61, 80, 0.5, 90)]);
  expect(meter.speed).toEqual({ factor: 0.5, overMs: 15_000 });
});

test("it is unknown before four seconds were observed", () => {
  expect(run(each(0, 3, 1)).speed).toBeNull();
  expect(run(each(0, 4, 1)).speed).toEqual({ factor: 1, overMs: 4000 });
});

test("media time that goes back restarts the measurement", () => {
  expect(run([...each(0, 20, 1), [21, 0]]).speed).toBeNull();
});

test("a job without progress has a known speed of 0", () => {
  const meter = run([...each(0, 10, 1), ...each(11, 40, 0, 10)]);
  expect(meter.speed?.factor).toBe(0);
  expect(meter.stillSinceMs(40_000)).toBe(30_000);
});

test("a longer window is used for media time in long steps", () => {
  const meter = run(
    [
      [0, 0],
      [10, 10],
      [20, 20],
      [30, 30],
      [40, 40],
      [50, 50],
    ],
    40_000,
  );
  expect(meter.speed).toEqual({ factor: 1, overMs: 40_000 });
});

test("a gap, as of a suspended machine, counts no longer than until four seconds after it", () => {
  const after = (seconds: number) => run([...each(0, 20, 1), ...each(220, 220 + seconds, 1, -200)]);
  expect(after(3).speed?.factor).toBeCloseTo(3 / 203, 2);
  expect(after(4).speed).toEqual({ factor: 1, overMs: 4000 });
});

test("readings that are far apart are compared with each other", () => {
  expect(
    run([
      [0, 0],
      [60, 30],
      [120, 90],
    ]).speed,
  ).toEqual({ factor: 1, overMs: 60_000 });
});
