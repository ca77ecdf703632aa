import { expect, test } from "bun:test";
import { someJob } from "../../../test/support/jobs.ts";
import { someUse } from "../../../test/support/samples.ts";
import { JobHistory } from "./jobHistory.ts";
import { coresOf, lastFullEndMs } from "./recentCores.ts";

const span = (startSecond: number, endSecond: number, cores: number | null) => ({
  startMs: startSecond * 1000,
  endMs: endSecond * 1000,
  count: cores === null ? null : cores * (endSecond - startSecond) * 1e6,
});

test("each value is the use in 5 s, of however many points", () => {
  const seconds = Array.from({ length: 200 }, (_, second) => span(second, second + 1, second < 195 ? 1 : 2));
  expect(coresOf(seconds, 200_000)).toEqual([...Array(23).fill(1), 2]);
  const slow = Array.from({ length: 20 }, (_, n) => span(10 * n, 10 * n + 10, n < 19 ? 0.5 : 1.5));
  expect(coresOf(slow, 200_000)).toEqual([...Array(22).fill(0.5), 1.5, 1.5]);
  expect(coresOf([span(0, 1000, 0.25)], 1_000_000)).toEqual(Array(24).fill(0.25));
});

test("a time without points, and one whose use is unknown, have no value", () => {
  expect(coresOf([], 0)).toEqual(Array(24).fill(null));
  const points = [span(1000, 1010, 1), span(1010, 1020, null), span(1020, 1030, 2)];
  expect(coresOf(points, 1_030_000)).toEqual([...Array(18).fill(null), 1, 1, null, null, 2, 2]);
});

test("the present 5 s have no value before they are over, so that no value changes", () => {
  expect(lastFullEndMs(1_013_999)).toBe(1_010_000);
  const points = [span(1000, 1010, 1)];
  expect(coresOf([...points, span(1010, 1013, 4)], 1_010_000)).toEqual(coresOf(points, 1_010_000));
});

test("a job that is read again and again has its last 2 minutes", () => {
  const history = new JobHistory();
  expect(history.recentCores()).toEqual(Array(24).fill(null));
  const job = someJob();
  let cpuUsec = 0;
  for (let second = 0; second <= 600; second++) {
    const use = someUse(job, { cpuUsec });
    history.record({ ...use, now: { ...use.now, atBootMs: 100_000 + 1000 * second } });
    cpuUsec += second < 580 ? 1e6 : 3e6;
  }
  const cores = history.recentCores();
  expect(cores.map((value) => Math.round(value ?? -1))).toEqual([...Array(20).fill(1), ...Array(4).fill(3)]);
});
