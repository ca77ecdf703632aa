import { expect, test } from "bun:test";
import { someJob } from "../../../test/support/jobs.ts";
import { someSample } from "../../../test/support/samples.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { MeasuredUse } from "../measuredUse.ts";
import { NO_MEDIA } from "../media/mediaReader.ts";
import { bindingLimit } from "./bindingLimit.ts";
import type { Evidence } from "./judge.ts";

const applied = (limit: LimitOutcome["limit"], of?: LimitOutcome["of"]): LimitOutcome => ({
  ...{ limit, outcome: "applied", wanted: "1", actual: "1" },
  ...(of ? { of } : {}),
});
const use = (job: Partial<RunningJob>, different: Partial<MeasuredUse> = {}): MeasuredUse => ({
  ...someSample(someJob(job), {}),
  ...{ network: null, media: NO_MEDIA, pace: null },
  ...different,
});
const throttled = (throttledPercent: number, tenantThrottledPercent: number) =>
  ({ throttledPercent, tenantThrottledPercent }) as Evidence;

test("a quota is the job's or its tenant's, whichever stops it more often", () => {
  const both = use({ outcomes: [applied("cpu.max"), applied("cpu.max", "tenant")] });
  expect(bindingLimit("own_limit", throttled(90, 0), both)).toEqual({ name: "cpu.max", of: "job" });
  expect(bindingLimit("own_limit", throttled(60, 90), both)).toEqual({ name: "cpu.max", of: "tenant" });
  const governed = use({ outcomes: [applied("cpu.max"), applied("cpu.max", "governor")] });
  expect(bindingLimit("own_limit", throttled(90, 0), governed)).toEqual({ name: "cpu.max", of: "governor" });
});

test("a quota that ffrtmp did not set is no limit of ours", () => {
  const refused: LimitOutcome = { limit: "cpu.max", outcome: "refused", wanted: "1", because: "EACCES" };
  for (const outcomes of [[], [refused], [applied("cpu.max", "tenant")]])
    expect(bindingLimit("own_limit", throttled(90, 0), use({ outcomes }))).toBeNull();
});

test("memory is at its limit from nine tenths on", () => {
  const memory = (chargedBytes: number | null) => ({ bytes: 1, source: null, rssBytes: null, chargedBytes });
  const high = { limits: { memoryHighBytes: 100 }, outcomes: [applied("memory.high")] };
  const max = { limits: { memoryMaxBytes: 100 }, outcomes: [applied("memory.max")] };
  const of = (job: Partial<RunningJob>, bytes: number | null) =>
    bindingLimit("memory", {} as Evidence, use(job, { memory: memory(bytes) }))?.name ?? null;
  expect([of(high, 90), of(high, 89), of(high, null), of(max, 95)]).toEqual([
    ...["memory.high", null],
    ...[null, "memory.max"],
  ] as never);
});

test("disks are at io.max where one of its rates is reached", () => {
  const job = {
    limits: { ioMax: [{ device: "8:0", wbps: 1000, rbps: "max" as const }] },
    outcomes: [applied("io.max")],
  };
  const of = (wbps: number | null, rbps = 0) =>
    bindingLimit("io", { disks: { ...{ riops: null, wiops: null }, rbps, wbps } } as Evidence, use(job));
  expect(of(950)).toEqual({ name: "io.max", of: "job" });
  for (const rate of [800, null]) expect(of(rate, 9_000_000)).toBeNull();
});

test("other verdicts are about no limit", () => {
  expect(bindingLimit("neighbours", throttled(90, 90), use({ outcomes: [applied("cpu.max")] }))).toBeNull();
});
