import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import {
  decideQuotas,
  FLOOR_CORES,
  MAX_GROWTH,
  type QuotaInput,
  type QuotaJob,
  type SharedCores,
  STALE_MS,
} from "./model.ts";

const ROUNDING = 1e-9;

const amount = (max: number) => fc.double({ min: 0, max, noNaN: true });
const option = (max: number, min = 0) => fc.option(fc.double({ min, max, noNaN: true }), { nil: null });

const jobs: fc.Arbitrary<QuotaJob[]> = fc
  .array(
    fc.record({ useCores: option(8), quotaCores: option(8, FLOOR_CORES), ceilingCores: option(8, 0.01) }),
    { minLength: 1, maxLength: 6 },
  )
  .map((all) => all.map((job, index) => ({ ...job, key: `job-${index}` })));

const shared = {
  cores: fc.integer({ min: 1, max: 16 }),
  headroomCores: amount(4),
  othersCores: amount(16),
};

const around: fc.Arbitrary<SharedCores[]> = fc.array(
  fc.record({ ...shared, cores: fc.double({ min: 0.01, max: 16, noNaN: true }) }),
  { maxLength: 2 },
);

const input: fc.Arbitrary<QuotaInput & { around: SharedCores[] }> = fc.record({
  ...shared,
  around,
  sampleAgeMs: fc.integer({ min: 0, max: STALE_MS }),
  jobs,
});

/** Returns the jobs after a step, as if the kernel had taken every quota. */
function step(given: QuotaInput): QuotaInput {
  const decision = decideQuotas(given);
  if ("because" in decision) return given;
  const after = given.jobs.map((job) => {
    const quotaCores = decision.quotas.get(job.key);
    return quotaCores === undefined ? job : { ...job, quotaCores };
  });
  return { ...given, jobs: after };
}

/** The quota that limits a job, the governor's or its own. */
function heldTo({ quotaCores, ceilingCores }: QuotaJob): number {
  return Math.min(quotaCores ?? Number.POSITIVE_INFINITY, ceilingCores ?? Number.POSITIVE_INFINITY);
}

/** Checks that no job breaks a rule in any step. */
function never(breaks: (after: QuotaJob, before: QuotaJob, given: QuotaInput) => boolean): void {
  fc.assert(
    fc.property(input, (given) => {
      const after = step(given).jobs;
      const broken = given.jobs.filter((job, index) => breaks(after[index] as QuotaJob, job, given));
      expect(broken).toEqual([]);
    }),
    { numRuns: 300 },
  );
}

function check(holds: (given: QuotaInput & { around: SharedCores[] }) => void): void {
  fc.assert(fc.property(input, holds), { numRuns: 300 });
}

const withoutQuotas = (given: QuotaInput): QuotaInput => ({
  ...given,
  jobs: given.jobs.map((each) => ({ ...each, quotaCores: null })),
});

describe("the quotas of the governor", () => {
  it("are never as loose as a ceiling", () => {
    never(({ quotaCores, ceilingCores }) => (quotaCores ?? 0) >= (ceilingCores ?? Number.POSITIVE_INFINITY));
  });

  it("grow by at most a tenth in a step", () => {
    never((after, { quotaCores }) => {
      const most = Math.max(FLOOR_CORES, MAX_GROWTH * (quotaCores ?? Number.POSITIVE_INFINITY));
      return heldTo(after) > most * (1 + ROUNDING);
    });
  });

  it("leave each job its floor", () => {
    never(({ quotaCores }) => (quotaCores ?? FLOOR_CORES) < FLOOR_CORES);
  });

  it("are together no more than is left, or than the floors", () => {
    check((given) => {
      const leftOf = ({ cores, headroomCores, othersCores }: SharedCores) =>
        Math.max(0, cores - headroomCores - (othersCores ?? 0));
      const left = Math.min(...[given, ...given.around].map(leftOf));
      const sum = step(given).jobs.reduce((all, each) => all + heldTo(each), 0);
      // A change below 1 % is not written.
      const most = Math.max(left, FLOOR_CORES * given.jobs.length) * 1.011;
      expect(sum).toBeLessThanOrEqual(most + ROUNDING);
    });
  });

  it("are never larger for a quota around the jobs, as if the machine had fewer CPUs", () => {
    check((given) => {
      const sum = (of: QuotaInput) =>
        step(withoutQuotas(of)).jobs.reduce((all, each) => all + heldTo(each), 0);
      expect(sum(given)).toBeLessThanOrEqual(sum({ ...given, around: [] }) * 1.011 + ROUNDING);
    });
  });

  it("do not change without a sample, or with an old one", () => {
    fc.assert(
      fc.property(input, fc.integer({ min: 1, max: 1e6 }), (given, late) => {
        expect(decideQuotas({ ...given, sampleAgeMs: STALE_MS + late })).toHaveProperty("because");
        expect(decideQuotas({ ...given, othersCores: null })).toHaveProperty("because");
        expect(decideQuotas({ ...given, sampleAgeMs: null })).toHaveProperty("because");
        const unknown = { cores: 1, headroomCores: 0.1, othersCores: null };
        expect(decideQuotas({ ...given, around: [unknown] })).toHaveProperty("because");
      }),
    );
  });

  it("shrink to their parts in one step, and stay there", () => {
    check((given) => {
      const after = step(withoutQuotas(given));
      expect(step(after)).toEqual(after);
    });
  });

  it("recover after the others have ended, and come to rest", () => {
    check((given) => {
      const withoutUse = (each: SharedCores) => ({ ...each, othersCores: 0 });
      const idle = { ...given, ...withoutUse(given), around: given.around.map(withoutUse), jobs: given.jobs };
      let now = step({ ...given, othersCores: given.cores });
      for (let count = 0; count < 80; count++) now = step({ ...idle, jobs: now.jobs });
      expect(step(now)).toEqual(now);
      const fresh = step(withoutQuotas(idle)).jobs;
      const short = now.jobs.filter((each, index) => heldTo(each) < 0.98 * heldTo(fresh[index] as QuotaJob));
      expect(short).toEqual([]);
    });
  });
});

it("a full machine is given back to the others, a headroom in each step, and then comes to rest", () => {
  const full = fc.record({
    cores: fc.integer({ min: 1, max: 16 }),
    headroom: fc.double({ min: 0.05, max: 0.5, noNaN: true }),
    wanted: fc.double({ min: 0, max: 1, noNaN: true }),
    count: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(full, ({ cores, headroom, wanted, count }) => {
      const headroomCores = headroom * cores;
      // What the others would use, if batch left room for it and the headroom.
      const want = wanted * Math.max(0, cores - headroomCores - count * FLOOR_CORES);
      let jobs = Array.from({ length: count }, (_, index) => job(`job-${index}`));
      const used: number[] = [];
      for (let count = 0; count < 40; count++) {
        // The worst case: batch runs whenever its quota lets it.
        const held = jobs.map((each) => Math.min(heldTo(each), cores / jobs.length));
        const othersCores = Math.min(want, cores - held.reduce((sum, each) => sum + each, 0));
        used.push(othersCores);
        jobs = [...step({ cores, headroomCores, othersCores, sampleAgeMs: 0, jobs }).jobs];
      }
      const late = used.slice(-10).filter((cores) => cores < want - ROUNDING);
      expect(late).toEqual([]);
    }),
  );
});

function job(key: string, rest: Partial<QuotaJob> = {}): QuotaJob {
  return { key, useCores: null, quotaCores: null, ceilingCores: null, ...rest };
}
const machine = { cores: 4, headroomCores: 0.4, othersCores: 1.6, sampleAgeMs: 0 };

it.each<[string, QuotaJob[], Record<string, number | null>, SharedCores[]?]>([
  ["busy jobs have equal parts", [job("a"), job("b")], { a: 1, b: 1 }],
  [
    "a job that uses little leaves its part to the others",
    [job("a", { useCores: 0.1 }), job("b")],
    { a: 0.15, b: 1.85 },
  ],
  [
    "what none of them wants is divided evenly",
    [job("a", { useCores: 0.1 }), job("b", { useCores: 0.5 })],
    { a: 0.7, b: 1.3 },
  ],
  ["a job below its ceiling leaves the rest", [job("a", { ceilingCores: 0.5 }), job("b")], { b: 1.5 }],
  [
    "a quota that has reached its ceiling is lifted",
    [job("a", { ceilingCores: 0.5, quotaCores: 0.48 }), job("b", { quotaCores: 1.5 })],
    { a: null },
  ],
  [
    "a quota around both jobs is what they divide, without what others use in it",
    [job("a"), job("b")],
    { a: 0.5, b: 0.5 },
    [{ cores: 2, headroomCores: 0.2, othersCores: 0.8 }],
  ],
])("%s", (_, jobs, quotas, around = []) => {
  const decision = decideQuotas({ ...machine, jobs, around });
  const found = "because" in decision ? [] : [...decision.quotas];
  const rounded = found.map(([key, quota]) => [key, quota && Math.round(quota * 1000) / 1000]);
  expect(Object.fromEntries(rounded)).toEqual(quotas);
});
