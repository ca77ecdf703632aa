import { expect, test } from "bun:test";
import { someJob } from "../../test/support/jobs.ts";
import { someUse } from "../../test/support/samples.ts";
import { isInDoubt } from "./inDoubt.ts";
import type { JobUse } from "./jobUse.ts";
import { NO_MEDIA } from "./media/mediaReader.ts";

const isDoubtful = (different: Partial<JobUse>) => isInDoubt(someUse(someJob(), {}, different));
const speed = (factor: number, lengthSeconds: number | null = null) => ({
  media: { ...NO_MEDIA, lengthSeconds, speed: { factor, overMs: 15_000 } },
});
const live = { pace: { targetSpeed: 1, input: "file", isPaced: true } } as const;
const own = { pace: { targetSpeed: null, input: "file", isPaced: false } } as const;

test("a live job below its speed is in doubt, also one whose input has an end", () => {
  expect(isDoubtful({ ...speed(0.96), ...live })).toBe(true);
  expect(isDoubtful({ ...speed(0.96, 90), ...live })).toBe(true);
  expect(isDoubtful({ ...speed(0.96, 90), ...own })).toBe(false);
  expect(isDoubtful({ ...speed(0.96), ...own })).toBe(false);
  expect(isDoubtful({ ...speed(0.97), ...live })).toBe(false);
  expect(isDoubtful({ ...speed(0.5), pace: { ...live.pace, targetSpeed: 0.5 } })).toBe(false);
});

test("the intent of a job says more than its command line", () => {
  const isDoubtfulAs = (intent: string, different: Partial<JobUse>) =>
    isInDoubt(someUse(someJob({ intent }), {}, different));
  expect(isDoubtfulAs("live", { ...speed(0.96, 90), ...own })).toBe(true);
  expect(isDoubtfulAs("batch", { ...speed(0.96), ...live })).toBe(false);
});

test("without its command line, a job that has no end counts as live", () => {
  expect(isDoubtful(speed(0.96))).toBe(true);
  expect(isDoubtful(speed(0.96, 90))).toBe(false);
});

test("a live job that its quota stops often is in doubt before its speed is known", () => {
  const rates = { throttledPercent: 50 } as JobUse["rates"];
  expect(isDoubtful({ rates, ...live })).toBe(true);
  expect(isDoubtful({ rates, ...live, media: { ...NO_MEDIA, speed: { factor: 1.3, overMs: 8000 } } })).toBe(
    true,
  );
  expect(isDoubtful({ rates, ...live, ...speed(1) })).toBe(false);
  expect(isDoubtful({ rates, ...own })).toBe(false);
  expect(isDoubtful({ rates })).toBe(false);
});
