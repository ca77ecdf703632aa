import { describe, expect, it } from "bun:test";
import { type Counters, UNKNOWN_COUNTERS } from "../limits/counters.ts";
import type { ProcessCpu } from "../linux/proc/resources.ts";
import { type Reading, ratesBetween, sumKnown, sumRates } from "./rates.ts";

function reading(atBootMs: number, counters: Partial<Counters>, processes?: ProcessCpu[]): Reading {
  return {
    atBootMs,
    counters: { ...UNKNOWN_COUNTERS, ...counters },
    ...(processes ? { processes } : {}),
  };
}

describe("ratesBetween()", () => {
  it("divides what the kernel counted by the time between the readings", () => {
    const before = reading(1000, { cpuUsec: 5_000_000, ioReadBytes: 100, ioWriteBytes: 0 });
    const now = reading(3000, { cpuUsec: 8_000_000, ioReadBytes: 2100, ioWriteBytes: 0 });
    expect(ratesBetween(before, now)).toMatchObject({
      cpuPercent: 150,
      readBytesPerSecond: 1000,
      writeBytesPerSecond: 0,
    });
  });

  it("returns the part of the quota periods that were throttled, 0 without any period", () => {
    const throttled = (quotaPeriods: number | null, throttledPeriods: number | null) =>
      ratesBetween(
        reading(0, { quotaPeriods: 10, throttledPeriods: 5 }),
        reading(1000, { quotaPeriods, throttledPeriods }),
      ).throttledPercent;
    expect(throttled(20, 14)).toBe(90);
    expect(throttled(10, 5)).toBe(0);
    expect(throttled(null, null)).toBeNull();
  });

  it("is unknown for a counter that is missing, or was reset in between", () => {
    const before = reading(0, { cpuUsec: 10, ioReadBytes: 5 });
    expect(ratesBetween(before, reading(1000, { cpuUsec: 9, ioWriteBytes: 7 }))).toEqual({
      cpuPercent: null,
      throttledPercent: null,
      readBytesPerSecond: null,
      writeBytesPerSecond: null,
    });
  });

  it("is unknown when no time has passed", () => {
    expect(ratesBetween(reading(7, { cpuUsec: 1 }), reading(7, { cpuUsec: 2 })).cpuPercent).toBeNull();
  });

  it("adds up processes where no cgroup counts them: those that stay, and all of the new ones", () => {
    const process = (name: string, startBootMs: number, cpuUsec: number) => ({
      process: name,
      startBootMs,
      cpuUsec,
    });
    const before = reading(2000, {}, [process("7:100", 1000, 500_000), process("8:100", 1000, 900_000)]);
    const now = reading(3000, {}, [
      process("7:100", 1000, 700_000),
      // The pid of an ended process, which another one has now.
      process("8:250", 2500, 100_000),
      // It ran before, and joined the job.
      process("9:50", 500, 9_000_000),
    ]);
    expect(ratesBetween(before, now).cpuPercent).toBeCloseTo(30);
    expect(ratesBetween(before, reading(3000, {})).cpuPercent).toBeNull();
  });
});

describe("sumRates()", () => {
  it("is unknown where a part is", () => {
    const rates = { cpuPercent: 1, throttledPercent: 2, readBytesPerSecond: 3, writeBytesPerSecond: 4 };
    expect(sumRates([rates, { ...rates, readBytesPerSecond: null }])).toEqual({
      cpuPercent: 2,
      readBytesPerSecond: null,
      writeBytesPerSecond: 8,
    });
    expect([sumKnown([]), sumKnown([0]), sumKnown([1, null])]).toEqual([null, 0, null]);
  });
});
