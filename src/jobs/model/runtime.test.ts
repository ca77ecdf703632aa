import { describe, expect, it } from "bun:test";
import { someJob, someProcess, someResult } from "../../../test/support/jobs.ts";
import { governedTimeOf, runtimeOf } from "./runtime.ts";

const HOURS_MS = 3_600_000;
const job = someJob();

describe("runtimeOf()", () => {
  it("does not change when the wall clock is set", () => {
    for (const stepMs of [-2 * HOURS_MS, 2 * HOURS_MS]) {
      const result = someResult(job, { endMs: 1_700_000_012_010 + stepMs });
      expect(runtimeOf(job, result)).toEqual({ ms: 12_000, clock: "boot", bound: "exact" });
      expect(governedTimeOf(result)).toEqual({ ms: 12_000, clock: "boot", bound: "exact" });
    }
  });

  it("is from the start of a process that ran before it was governed", () => {
    const attached = someJob({ mode: "attach", process: someProcess({ startTicks: 456 }) });
    const result = someResult(attached);
    expect(runtimeOf(attached, result)?.ms).toBe(1_246_560 - 4560);
    expect(governedTimeOf(result)?.ms).toBe(12_000);
  });

  it("says that only the wall clock measured it, for a result of an earlier release", () => {
    const result = someResult(job, { startBootMs: null, endBootMs: null });
    expect(runtimeOf(job, result)).toEqual({ ms: 12_000, clock: "wall", bound: "exact" });
  });

  it("is unknown where the wall clock would make it negative", () => {
    const result = someResult(job, { startBootMs: null, endBootMs: null, endMs: 0 });
    expect(runtimeOf(job, result)).toBeUndefined();
  });

  it("is a bound where the end was not observed, by the wall clock across boots", () => {
    const bound = { endMs: 1_700_000_090_010, endedBeforeMs: 1_700_000_050_010 };
    const unseen = someResult(job, { ...bound, endBootMs: 1_264_560 });
    expect(runtimeOf(job, unseen)).toEqual({ ms: 30_000, clock: "boot", bound: "at-most" });
    const rebooted = someResult(job, { ...bound, endBootMs: null });
    expect(runtimeOf(job, rebooted)).toEqual({ ms: 50_000, clock: "wall", bound: "at-most" });
  });

  it("is a lower bound where the process was alive when it was detached, and the governed time is exact", () => {
    const detached = someResult(job, { ending: { kind: "detached" } });
    expect(runtimeOf(job, detached)).toEqual({ ms: 12_000, clock: "boot", bound: "at-least" });
    expect(governedTimeOf(detached)).toEqual({ ms: 12_000, clock: "boot", bound: "exact" });
  });

  it("is unknown for a job that never started", () => {
    expect(runtimeOf(job, someResult(job, { startMs: null, startBootMs: null }))).toBeUndefined();
  });
});
