import { expect, test } from "bun:test";
import { someJob } from "../../test/support/jobs.ts";
import { type Counters, UNKNOWN_COUNTERS, UNKNOWN_DETAILS } from "../limits/counters.ts";
import type { JobReading } from "./jobReading.ts";
import { ratesBetween } from "./rates.ts";
import type { JobSample } from "./sampler.ts";
import { tenantTotals } from "./tenants.ts";

const GROUP = "/sys/fs/cgroup/cpu/ffrtmp-0a1b2c-@acme";

function reading(atBootMs: number, counters: Partial<Counters>, tenant: Partial<Counters>): JobReading {
  const tenantCounters = new Map([[GROUP, { ...UNKNOWN_COUNTERS, ...tenant }]]);
  const memory = { bytes: 1000, source: "cgroup", chargedBytes: 1500, rssBytes: 2000 } as const;
  return {
    atBootMs,
    counters: { ...UNKNOWN_COUNTERS, ...counters },
    memory,
    processCount: 2,
    details: { ...UNKNOWN_DETAILS, atBootMs, pids: [], rssBytes: 2000 },
    tenantCounters,
  };
}

function sample(tenant: string | null, cpuUsec: number, isNew = false): JobSample {
  const before = reading(0, { cpuUsec: 0 }, { quotaPeriods: 0, throttledPeriods: 0 });
  const now = reading(1000, { cpuUsec }, { quotaPeriods: 10, throttledPeriods: 3 });
  const { memory, processCount, details } = now;
  return {
    job: someJob({ tenant }),
    before: isNew ? null : before,
    now,
    rates: isNew ? null : ratesBetween(before, now),
    detailRates: null,
    details,
    intervalMs: isNew ? null : 1000,
    memory,
    processCount,
    gpu: null,
  };
}

test("the jobs of a tenant add up, and its quota is that of its own cgroup", () => {
  const samples = [sample("zeta", 10_000), sample("acme", 200_000), sample(null, 1), sample("acme", 300_000)];
  expect(tenantTotals(samples)).toMatchObject([
    {
      tenant: "acme",
      jobs: 2,
      rates: { cpuPercent: 50, throttledPercent: 30, readBytesPerSecond: null },
      memoryBytes: 2000,
      rssBytes: 4000,
      processCount: 4,
    },
    { tenant: "zeta", jobs: 1, rates: { cpuPercent: 1 } },
  ]);
});

test("a job that was read for the first time counts with its memory, and has no rate yet", () => {
  expect(tenantTotals([sample("acme", 200_000), sample("acme", 0, true)])).toMatchObject([
    { jobs: 2, rates: { cpuPercent: 20 }, memoryBytes: 2000 },
  ]);
  expect(tenantTotals([sample("acme", 0, true)])).toMatchObject([{ jobs: 1, rates: null, processCount: 2 }]);
});
