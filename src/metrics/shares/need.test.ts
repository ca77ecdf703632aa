import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { LatestSamples } from "./latestSamples.ts";
import { type CpuSample, needOf as needOfNumbers, p95OfSecond } from "./need.ts";

const sample = (cores: number, different: Partial<CpuSample> = {}): CpuSample => ({
  seconds: 1,
  cores,
  speed: 1,
  ...different,
});
const numbersOf = (samples: readonly CpuSample[]) => {
  const latest = new LatestSamples(1000);
  for (const each of samples) latest.add(each);
  return latest.numbers();
};
const needOf = (samples: readonly CpuSample[]) => needOfNumbers(numbersOf(samples));
const many = (count: number, cores: (n: number) => number, different: Partial<CpuSample> = {}) =>
  Array.from({ length: count }, (_, n) => sample(cores(n), different));

describe("the need of a job", () => {
  it("is the 95th percentile of its seconds", () => {
    const need = needOf(many(100, (n) => n / 100));
    expect(need).toEqual({ cores: 0.94, sampleSeconds: 1, isWhileKeepingUp: true });
  });

  it("leaves out the samples in which the job was slower than real time", () => {
    const slow = many(40, () => 0.1, { speed: 0.8 });
    expect(needOf([...slow, ...many(20, () => 0.5)])?.cores).toBe(0.5);
    expect(needOf([...slow, ...many(19, () => 0.5)])).toBeUndefined();
  });

  it("counts all samples, and says so, where no media time is known", () => {
    const need = needOf(many(20, () => 0.3, { speed: null }));
    expect(need).toMatchObject({ cores: 0.3, isWhileKeepingUp: false });
    // Its media time is known now, and before it can have been slow.
    expect(needOf([...many(40, () => 0.3, { speed: null }), ...many(5, () => 0.3)])).toBeUndefined();
  });

  it("is unknown for a job that works ahead of real time, and before there are 20 samples", () => {
    expect(needOf(many(40, () => 2, { speed: 3 }))).toBeUndefined();
    expect(needOf(many(19, () => 0.3))).toBeUndefined();
    expect(needOf([])).toBeUndefined();
  });

  it("uses samples of a second where there are enough among longer ones", () => {
    const means = many(40, () => 0.2, { seconds: 10 });
    expect(needOf([...means, ...many(20, () => 0.4)])).toMatchObject({ cores: 0.4, sampleSeconds: 1 });
    expect(needOf([...means, ...many(19, () => 0.4)])?.sampleSeconds).toBe(10);
  });

  it("is estimated from means of 10 s near that of the seconds, when these are independent", () => {
    // A linear congruential generator: uniform from 0 to 1, whose 95th percentile is 0.95.
    let state = 42;
    const random = () => {
      state = (1103515245 * state + 12345) % 2 ** 31;
      return state / 2 ** 31;
    };
    const seconds = Array.from({ length: 3600 }, random);
    const means = Array.from({ length: 360 }, (_, n) => {
      const part = seconds.slice(10 * n, 10 * n + 10);
      return sample(part.reduce((a, b) => a + b, 0) / 10, { seconds: 10 });
    });
    const plain = means.map(({ cores }) => cores).sort((a, b) => a - b)[341] as number;
    expect(plain).toBeLessThan(0.7);
    expect(Math.abs((needOf(means)?.cores as number) - 0.95)).toBeLessThan(0.07);
  });

  it("is never below the 95th percentile of its samples", () => {
    const cores = fc.array(fc.double({ min: 0, max: 8, noNaN: true }), { minLength: 20, maxLength: 60 });
    fc.assert(
      fc.property(cores, fc.constantFrom(1, 10, 60), (values, seconds) => {
        const p95 = values.toSorted((a, b) => a - b)[Math.ceil(0.95 * values.length) - 1] as number;
        const samples = numbersOf(values.map((each) => sample(each, { seconds })));
        expect(p95OfSecond(seconds, samples.cores)).toBeGreaterThanOrEqual(p95);
      }),
    );
  });
});
