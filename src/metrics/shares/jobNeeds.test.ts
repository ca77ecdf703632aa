import { expect, test } from "bun:test";
import { JobNeeds } from "./jobNeeds.ts";
import type { CpuSample } from "./need.ts";

const job = { key: "a", intent: null };

/** Needs at a time, and samples that count the readings of their speed. */
function start(speed: number) {
  const clock = { nowMs: 0 };
  const counted = { reads: 0 };
  const needs = new JobNeeds(() => clock.nowMs);
  const sample = (): CpuSample => ({
    seconds: 1,
    cores: 0.5,
    get speed() {
      counted.reads++;
      return speed;
    },
  });
  const record = (count: number) => needs.record(job, Array.from({ length: count }, sample));
  return { clock, counted, needs, record };
}

test("a job has a need with its twentieth sample", () => {
  const { needs, record } = start(1);
  for (let count = 1; count < 20; count++) {
    record(1);
    expect(needs.needOf(job)).toBeNull();
  }
  record(1);
  expect(needs.needOf(job)?.cores).toBe(0.5);
});

test("the samples of a job that has no need are not looked through again each time", () => {
  const { clock, counted, needs, record } = start(3);
  record(360);
  expect(needs.needOf(job)).toBeNull();
  const { reads } = counted;
  for (let count = 0; count < 10; count++) {
    record(1);
    expect(needs.needOf(job)).toBeNull();
  }
  expect(counted.reads).toBe(reads);
  clock.nowMs = 10_000;
  needs.needOf(job);
  expect(counted.reads).toBeGreaterThan(reads);
});

test("a job that may wait, and one that is forgotten, needs nothing that is known", () => {
  const { needs, record } = start(1);
  record(20);
  expect(needs.needOf({ ...job, intent: "batch" })).toBeNull();
  needs.forget(job.key);
  expect(needs.needOf(job)).toBeNull();
});
