import { describe, expect, it } from "bun:test";
import { type Counters, UNKNOWN_COUNTERS, UNKNOWN_DETAILS } from "../limits/counters.ts";
import type { ProcessUse } from "../linux/proc/resources.ts";
import { detailRatesBetween, type Reading, ratesBetween, sumKnown, sumRates } from "./rates.ts";

function reading(atBootMs: number, counters: Partial<Counters>, processes?: ProcessUse[]): Reading {
  return {
    atBootMs,
    counters: { ...UNKNOWN_COUNTERS, ...counters },
    ...(processes ? { processes } : {}),
  };
}

const UNKNOWN_PRESSURE = {
  cpuSomePercent: null,
  memorySomePercent: null,
  memoryFullPercent: null,
  ioSomePercent: null,
  ioFullPercent: null,
};

function used(process: string, startBootMs: number, use: Partial<ProcessUse>): ProcessUse {
  const nothing = { cpuUsec: 0, ioReadBytes: null, ioWriteBytes: null, waitedUsec: new Map() };
  return { process, startBootMs, ...nothing, ...use };
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
      pressure: UNKNOWN_PRESSURE,
      cpuWaitPercent: null,
    });
  });

  it("returns the parts of the time in which the job waited, never more than all of it", () => {
    const before = reading(1000, {
      cpuPressureUsec: 0,
      memoryPressureUsec: 5,
      ioPressureUsec: 100,
      ioFullPressureUsec: 0,
    });
    const now = reading(3000, {
      cpuPressureUsec: 1_500_000,
      memoryPressureUsec: 5,
      ioPressureUsec: 2_100_000,
      ioFullPressureUsec: 100_000,
    });
    expect(ratesBetween(before, now).pressure).toEqual({
      cpuSomePercent: 75,
      memorySomePercent: 0,
      memoryFullPercent: null,
      ioSomePercent: 100,
      ioFullPercent: 5,
    });
  });

  it("is unknown when no time has passed", () => {
    expect(ratesBetween(reading(7, { cpuUsec: 1 }), reading(7, { cpuUsec: 2 })).cpuPercent).toBeNull();
  });

  it("adds up processes where no cgroup counts them: those that stay, and all of the new ones", () => {
    const process = (name: string, startBootMs: number, cpuUsec: number) =>
      used(name, startBootMs, { cpuUsec });
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

describe("ratesBetween() of processes", () => {
  it("adds up their bytes, which are unknown where those of one are", () => {
    const before = reading(0, {}, [used("7:1", 0, { ioReadBytes: 100, ioWriteBytes: null })]);
    const now = reading(2000, {}, [
      used("7:1", 0, { ioReadBytes: 300, ioWriteBytes: null }),
      used("8:2", 1000, { ioReadBytes: 4000, ioWriteBytes: 5 }),
    ]);
    expect(ratesBetween(before, now)).toMatchObject({ readBytesPerSecond: 2100, writeBytesPerSecond: null });
  });

  it("adds up the waits of their threads, of which those that ended are lost", () => {
    const waits = (entries: [number, number][]) => ({ waitedUsec: new Map(entries) });
    const before = reading(0, {}, [
      used(
        "7:1",
        0,
        waits([
          [7, 1000],
          [70, 900_000],
        ]),
      ),
    ]);
    const now = reading(1000, {}, [
      // Thread 70 has ended, 71 is new.
      used(
        "7:1",
        0,
        waits([
          [7, 101_000],
          [71, 50_000],
        ]),
      ),
      used("8:2", 500, waits([[8, 10_000]])),
      // It joined the job in between.
      used("9:0", -5000, waits([[9, 700_000]])),
    ]);
    expect(ratesBetween(before, now).cpuWaitPercent).toBeCloseTo(16);
    expect(ratesBetween(before, reading(1000, {})).cpuWaitPercent).toBeNull();
  });
});

describe("detailRatesBetween()", () => {
  it("divides by the time between the readings of details", () => {
    const known = { majorFaults: 5, rereadBytes: 0, ioReadOperations: 10 };
    const before = { ...UNKNOWN_DETAILS, ...known, atBootMs: 0 };
    const grown = { majorFaults: 25, rereadBytes: 40_960, ioReadOperations: 9 };
    const now = { ...UNKNOWN_DETAILS, ...grown, atBootMs: 10_000 };
    expect(detailRatesBetween(before, now)).toEqual({
      majorFaultsPerSecond: 2,
      rereadBytesPerSecond: 4096,
      readOperationsPerSecond: null,
      writeOperationsPerSecond: null,
    });
  });
});

describe("sumRates()", () => {
  it("is unknown where a part is", () => {
    const rates = {
      ...{ cpuPercent: 1, throttledPercent: 2, readBytesPerSecond: 3, writeBytesPerSecond: 4 },
      ...{ pressure: UNKNOWN_PRESSURE, cpuWaitPercent: null },
    };
    expect(sumRates([rates, { ...rates, readBytesPerSecond: null }])).toEqual({
      cpuPercent: 2,
      readBytesPerSecond: null,
      writeBytesPerSecond: 8,
    });
    expect([sumKnown([]), sumKnown([0]), sumKnown([1, null])]).toEqual([null, 0, null]);
  });
});
