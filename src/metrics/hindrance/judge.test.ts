import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { FREE } from "../../../test/support/hindrances.ts";
import { VERDICTS } from "../../jobs/model/hindered.ts";
import { type Evidence, isSlow, judge, neededCores } from "./judge.ts";

const SLOW = { ...FREE, speed: 0.6 };
const NOT_LIVE = { ...FREE, isLive: false, targetSpeed: null };

const NOTHING = Object.fromEntries(Object.keys(FREE).map((key) => [key, null])) as unknown as Evidence;

/** Any evidence that can be true of one job at one time. */
const percent = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.constantFrom(0, 10, 20, 50, 80, 95, 100));
const complete: fc.Arbitrary<Evidence> = fc
  .record({
    targetSpeed: fc.constantFrom(null, 1, 0.5),
    speed: fc.double({ min: 0, max: 2, noNaN: true }),
    cpuCores: fc.double({ min: 0, max: 4, noNaN: true }),
    throttledPercent: percent,
    tenantThrottledPercent: percent,
    cpuPressurePercent: percent,
    memoryFullPercent: percent,
    ioFullPercent: percent,
    rereadPercent: percent,
    disks: fc.constant({ rbps: 0, wbps: 0, riops: 0, wiops: 0 }),
    availableCores: fc.constantFrom(0.5, 1, 4),
    otherCores: fc.double({ min: 0, max: 4, noNaN: true }),
    sendBacklogSeconds: fc.constantFrom(0, 1, 2, 9),
    isSendBacklogGrowing: fc.boolean(),
    receiverLimitedPercent: percent,
    isInputWaiting: fc.boolean(),
    isInputQuiet: fc.boolean(),
    gpuPercent: percent,
    ownGpuPercent: percent,
  })
  .map((evidence) => ({
    ...evidence,
    isLive: evidence.targetSpeed !== null,
    // A job that keeps its speed leaves nothing, and what is read at once does not wait.
    isInputWaiting:
      evidence.isInputWaiting && !evidence.isInputQuiet && isSlow({ ...evidence, isLive: true }),
  }));

describe("the judge", () => {
  it("finds nothing for a job that keeps its speed, whatever it waits for", () => {
    expect(judge(FREE)).toBeNull();
    expect(
      judge({ ...FREE, throttledPercent: 100, memoryFullPercent: 90, cpuPressurePercent: 99 }),
    ).toBeNull();
    expect(judge({ ...FREE, speed: 0.97, throttledPercent: 60 })).toBeNull();
    expect(judge({ ...FREE, speed: 0.4, targetSpeed: 0.4, throttledPercent: 60 })).toBeNull();
  });

  it.each<[string, Evidence]>([
    ["own_limit", { ...SLOW, throttledPercent: 50 }],
    ["own_limit", { ...SLOW, tenantThrottledPercent: 93 }],
    ["own_limit", { ...FREE, speed: null, isInputWaiting: true, throttledPercent: 90 }],
    ["own_limit", { ...NOT_LIVE, throttledPercent: 90 }],
    ["neighbours", { ...SLOW, cpuPressurePercent: 71, otherCores: 2.7 }],
    ["neighbours", { ...NOT_LIVE, cpuPressurePercent: 71, otherCores: 2.7 }],
    ["memory", { ...SLOW, memoryFullPercent: 20 }],
    ["memory", { ...SLOW, ioFullPercent: 88, rereadPercent: 50 }],
    ["io", { ...NOT_LIVE, ioFullPercent: 20 }],
    ["io", { ...SLOW, ioFullPercent: 88, rereadPercent: 49 }],
    ["io", { ...SLOW, ioFullPercent: 88, rereadPercent: null }],
    ["gpu", { ...SLOW, gpuPercent: 95 }],
    ["gpu", { ...NOT_LIVE, gpuPercent: 99, ownGpuPercent: 40 }],
    ["receiver", { ...FREE, sendBacklogSeconds: 2, isSendBacklogGrowing: true }],
    ["receiver", { ...FREE, receiverLimitedPercent: 80 }],
    ["receiver", { ...SLOW, sendBacklogSeconds: 30 }],
    ["receiver", { ...NOT_LIVE, receiverLimitedPercent: 80 }],
    ["source", { ...SLOW, isInputQuiet: true, cpuCores: 0.1 }],
    ["source", { ...SLOW, speed: 0, isInputQuiet: true }],
    ["itself", SLOW],
    // All CPUs are its own: it waits for its own threads.
    ["itself", { ...SLOW, cpuCores: 3.9, cpuPressurePercent: 90, otherCores: 0.1 }],
    ["itself", { ...SLOW, cpuCores: 3.6, cpuPressurePercent: 90, otherCores: 0.5 }],
    ["itself", { ...SLOW, cpuPressurePercent: 90, otherCores: 0.2 }],
  ])("finds %s", (verdict, evidence) => {
    expect(judge(evidence)).toBe(verdict as never);
  });

  it.each<[string, Evidence]>([
    ["a quota that stops it now and then", { ...SLOW, throttledPercent: 30 }],
    ["a file job that nothing delays", NOT_LIVE],
    ["a file job with all of a GPU", { ...NOT_LIVE, gpuPercent: 99, ownGpuPercent: 98 }],
    ["a file job with all CPUs", { ...NOT_LIVE, cpuCores: 3.9, cpuPressurePercent: 99 }],
    ["a constant backlog at full speed", { ...FREE, sendBacklogSeconds: 3 }],
    ["a slow job that waits for something unknown", { ...SLOW, cpuCores: 0.2 }],
    ["receivers that are not visible", { ...SLOW, receiverLimitedPercent: null }],
    ["a backlog that is not visible", { ...SLOW, sendBacklogSeconds: null }],
    ["pages that are read again without waiting", { ...SLOW, cpuCores: 0.2, rereadPercent: 100 }],
    ["an input that is not visible", { ...SLOW, isInputQuiet: null }],
    ["pressure that is not visible", { ...SLOW, cpuPressurePercent: null, otherCores: 2 }],
  ])("finds nothing in %s", (_, evidence) => {
    expect(judge(evidence)).toBeNull();
  });

  it("makes no verdict from what is unknown", () => {
    expect(judge(NOTHING)).toBeNull();
    for (const name of Object.keys(FREE) as (keyof Evidence)[])
      expect(judge({ ...NOTHING, [name]: FREE[name] })).toBeNull();
    // A figure that is hidden can hide a cause, and then the next one that is true is found: never one that is not.
    fc.assert(
      fc.property(complete, fc.subarray(Object.keys(FREE)), (evidence, hidden) => {
        const shown = { ...evidence, ...Object.fromEntries(hidden.map((key) => [key, null])) } as Evidence;
        const verdict = judge(shown);
        fc.pre(verdict !== null);
        const known = judge(evidence);
        expect(known).not.toBeNull();
        expect(VERDICTS.indexOf(known as never)).toBeLessThanOrEqual(VERDICTS.indexOf(verdict as never));
      }),
      { numRuns: 2000 },
    );
  });

  it("finds nothing but the receiver where a live job keeps its speed", () => {
    fc.assert(
      fc.property(complete, (evidence) => {
        fc.pre(evidence.targetSpeed !== null && !isSlow(evidence));
        expect([null, "receiver"]).toContain(judge(evidence) as never);
      }),
    );
  });

  it("stays with a verdict when its evidence grows", () => {
    const worse: Record<string, (evidence: Evidence) => Evidence> = {
      own_limit: (evidence) => ({ ...evidence, throttledPercent: 100 }),
      memory: (evidence) => ({ ...evidence, memoryFullPercent: 100 }),
      io: (evidence) => ({ ...evidence, ioFullPercent: 100 }),
      gpu: (evidence) => ({ ...evidence, gpuPercent: 100 }),
      neighbours: (evidence) => ({ ...evidence, cpuPressurePercent: 100, otherCores: 4 }),
      receiver: (evidence) => ({ ...evidence, receiverLimitedPercent: 100, sendBacklogSeconds: 60 }),
      source: (evidence) => ({ ...evidence, cpuCores: 0 }),
      itself: (evidence) => ({ ...evidence, cpuPressurePercent: 0 }),
    };
    fc.assert(
      fc.property(complete, fc.double({ min: 0, max: 1, noNaN: true }), (evidence, part) => {
        const verdict = judge(evidence);
        fc.pre(verdict !== null);
        expect(judge((worse[verdict as string] as (typeof worse)["io"])(evidence))).toBe(verdict as never);
        expect(judge({ ...evidence, speed: part * (evidence.speed as number) })).toBe(verdict as never);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the CPUs that a job needs", () => {
  it("are those that it uses, for its whole speed", () => {
    expect(neededCores({ ...SLOW, cpuCores: 1.46, speed: 0.61 })).toBeCloseTo(2.39, 2);
    expect(neededCores({ ...SLOW, cpuCores: 1, speed: 0.25, targetSpeed: 0.5 })).toBe(2);
  });

  it("are not known of a job without a pace or without a speed", () => {
    expect(neededCores(NOT_LIVE)).toBeNull();
    expect(neededCores({ ...SLOW, speed: null })).toBeNull();
    expect(neededCores({ ...SLOW, speed: 0 })).toBeNull();
    expect(neededCores({ ...SLOW, cpuCores: null })).toBeNull();
  });
});
