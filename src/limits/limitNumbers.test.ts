import { expect, test } from "bun:test";
import { limitNumbersOf } from "./limitNumbers.ts";
import type { LimitOutcome } from "./outcome.ts";

const applied = (limit: LimitOutcome["limit"], actual: string): LimitOutcome => ({
  limit,
  outcome: "applied",
  wanted: "x",
  actual,
});

test("the numbers are those that the kernel has, not those that were asked for", () => {
  const outcomes: LimitOutcome[] = [
    { limit: "cpu.max", outcome: "partial", wanted: "2 cores", actual: "150000 100000", because: "rounded" },
    applied("memory.high", "67108864"),
    { limit: "memory.max", outcome: "refused", wanted: "1G", actual: "1073741824", because: "EACCES" },
    { ...applied("pids.max", "40"), of: "tenant" },
  ];
  const none = { cpuCores: null, memoryHighBytes: null, memoryMaxBytes: null, taskCount: null };
  expect(limitNumbersOf(outcomes)).toEqual({ ...none, cpuCores: 1.5, memoryHighBytes: 67_108_864 });
  expect(limitNumbersOf(outcomes, "tenant")).toEqual({ ...none, taskCount: 40 });
});

test.each([
  ["0.4 cores", 0.4],
  ["50000 200000", 0.25],
  ["max 100000", null],
  ["-1 100000", null],
  ["", null],
])("the CPU quota %p is %p cores", (actual, cores) => {
  expect(limitNumbersOf([applied("cpu.max", actual)]).cpuCores).toBe(cores);
});

test.each(["max", "", "12 shares"])("%p is not a number of bytes", (actual) => {
  expect(limitNumbersOf([applied("memory.max", actual)]).memoryMaxBytes).toBeNull();
});
