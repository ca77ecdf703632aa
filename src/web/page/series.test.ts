import { expect, test } from "bun:test";
import type { UsagePoint } from "./data.ts";
import { addFigures, type Figures, figuresOfPoint, joinFigures } from "./series.ts";

const POINT: UsagePoint = {
  start_time: "2026-11-27T12:00:00.000Z",
  end_time: "2026-11-27T12:00:10.000Z",
  cpu_seconds: 15,
  quota_periods: 100,
  throttled_periods: 93,
  io_read_bytes: 0,
  io_write_bytes: 0,
  cpu_pressure_seconds: 8,
  memory_pressure_seconds: 0,
  memory_full_pressure_seconds: 0,
  io_pressure_seconds: null,
  io_full_pressure_seconds: null,
  memory_min_bytes: 1,
  memory_max_bytes: 2,
  process_count_min: 1,
  process_count_max: 1,
  tcp_sent_bytes: 5_000_000,
  tcp_received_bytes: 0,
  media_seconds: 6,
  speed_min: 0.63,
  speed_max: 0.7,
  send_backlog_min_seconds: 0,
  send_backlog_max_seconds: 3,
};

const at = (time: number): Figures => ({ ...figuresOfPoint(POINT), time });

test("counts become rates over their span, and what is unknown stays unknown", () => {
  expect(figuresOfPoint(POINT)).toMatchObject({
    cores: 1.5,
    throttled: 0.93,
    memoryBytes: 2,
    speed: 0.63,
    sentBitsPerSecond: 4_000_000,
    backlogSeconds: 3,
    cpuWait: 80,
    diskWait: null,
  });
  const unknown = { ...POINT, cpu_seconds: null, quota_periods: null };
  expect(figuresOfPoint(unknown)).toMatchObject({ cores: null, throttled: null });
  // The speed of a long span is exact: 6 s of media in 60 s.
  expect(figuresOfPoint({ ...POINT, end_time: "2026-11-27T12:01:00.000Z" }).speed).toBe(0.1);
  // Without a quota there are no periods, and nothing was throttled.
  expect(figuresOfPoint({ ...POINT, quota_periods: 0, throttled_periods: 0 }).throttled).toBe(0);
  // A span of no length has no rate.
  expect(figuresOfPoint({ ...POINT, start_time: POINT.end_time }).cores).toBeNull();
});

test("what the page has seen continues the history, and no time is there twice", () => {
  const times = (figures: readonly Figures[]) => figures.map(({ time }) => time);
  expect(times(joinFigures([at(10), at(20)], [at(15), at(20), at(21)]))).toEqual([10, 20, 21]);
  let seen: readonly Figures[] = [];
  for (const time of [1, 2, 2, 3, 4]) seen = addFigures(seen, at(time), 3);
  expect(times(seen)).toEqual([2, 3, 4]);
  expect(addFigures(seen, undefined, 3)).toBe(seen);
});
