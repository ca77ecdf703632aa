import { expect, test } from "bun:test";
import { JobNeeds } from "./jobNeeds.ts";
import type { CpuSample } from "./need.ts";

const job = { key: "a", intent: null };

/** Needs at a time, and a function that adds samples. */
function start() {
  const clock = { nowMs: 0 };
  const needs = new JobNeeds(() => clock.nowMs);
  const record = (count: number, different: Partial<CpuSample> = {}) =>
    needs.record(
      job,
      Array.from({ length: count }, () => ({ seconds: 1, cores: 0.5, speed: 1, ...different })),
    );
  return { clock, needs, record };
}

test("a job has a need with its twentieth sample", () => {
  const { needs, record } = start();
  for (let count = 1; count < 20; count++) {
    record(1);
    expect(needs.needOf(job)).toBeNull();
  }
  record(1);
  expect(needs.needOf(job)?.cores).toBe(0.5);
});

test("a need is computed once in 10 s, also for a job that has none", () => {
  const { clock, needs, record } = start();
  record(360, { speed: 3 });
  expect(needs.needOf(job)).toBeNull();
  record(360);
  clock.nowMs = 9999;
  expect(needs.needOf(job)).toBeNull();
  clock.nowMs = 10_000;
  expect(needs.needOf(job)?.cores).toBe(0.5);
});

test("the latest 360 samples count, whether their speed is known or not", () => {
  const { clock, needs, record } = start();
  const needAfter10Seconds = () => {
    clock.nowMs += 10_000;
    return needs.needOf(job);
  };
  record(1000, { cores: 3, speed: null });
  expect(needAfter10Seconds()).toEqual({ cores: 3, sampleSeconds: 1, isWhileKeepingUp: false });
  // 19 of 360 are more than 5 %.
  record(341, { cores: 0.25, speed: null });
  expect(needAfter10Seconds()?.cores).toBe(3);
  record(1, { cores: 0.25, speed: null });
  expect(needAfter10Seconds()?.cores).toBe(0.25);
  record(359);
  expect(needAfter10Seconds()).toEqual({ cores: 0.5, sampleSeconds: 1, isWhileKeepingUp: true });
});

test("a job that may wait, and one that is forgotten, needs nothing that is known", () => {
  const { needs, record } = start();
  record(20);
  expect(needs.needOf({ ...job, intent: "batch" })).toBeNull();
  needs.forget(job.key);
  expect(needs.needOf(job)).toBeNull();
});
