import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { peakOf, peakOfSum, type Series, samplesOf, whileKeepingUp } from "./together.ts";

/** A series of points of the same length with these cores; `null`: not known. */
function series(cores: readonly (number | null)[], { seconds = 1, startMs = 0 } = {}): Series {
  return {
    points: cores.map((each, index) => ({
      startMs: startMs + 1000 * seconds * index,
      endMs: startMs + 1000 * seconds * (index + 1),
      counts: { cpuUsec: each === null ? null : each * seconds * 1e6 },
    })),
  };
}
const every = (count: number, cores: (n: number) => number) =>
  Array.from({ length: count }, (_, n) => cores(n));

describe("the peak of streams together", () => {
  it("is that of their sum, and not the sum of peaks that never come together", () => {
    const even = series(every(40, (n) => (n % 2 === 0 ? 0.8 : 0.2)));
    const odd = series(every(40, (n) => (n % 2 === 0 ? 0.2 : 0.8)));
    expect(peakOfSum([even, odd])?.cores).toBeCloseTo(1, 9);
    expect(peakOfSum([even, even])?.cores).toBeCloseTo(1.6, 9);
  });

  it("is above the mean: a mean of 64 % of the cores leaves less room than it seems", () => {
    const bursts = series(every(60, (n) => (n % 5 === 0 ? 0.56 : 0.18)));
    const five = Array.from({ length: 5 }, () => bursts);
    expect(peakOfSum(five)?.cores).toBeCloseTo(2.8, 9);
  });

  it("counts the time in which all of them ran, and else the sum of the peak of each", () => {
    const long = series(every(100, (n) => (n < 70 ? 1 : 0.5)));
    const late = series(
      every(30, () => 0.4),
      { startMs: 70_000 },
    );
    expect(peakOfSum([long, late])).toMatchObject({ samples: 30, isSumOfPeaks: false });
    expect(peakOfSum([long, late])?.cores).toBeCloseTo(0.9, 9);
    const earlier = series(every(30, () => 0.4));
    const apart = series(
      every(30, () => 0.3),
      { startMs: 90_000 },
    );
    expect(peakOfSum([earlier, apart])).toMatchObject({ isSumOfPeaks: true });
    expect(peakOfSum([earlier, apart])?.cores).toBeCloseTo(0.7, 9);
  });

  it("is unknown with too few samples, and says how long its samples are", () => {
    expect(peakOfSum([series(every(19, () => 0.4))])).toBeUndefined();
    expect(
      peakOf(
        samplesOf(
          series(
            every(20, () => 0.4),
            { seconds: 10 },
          ),
        ),
      ),
    ).toEqual({ cores: expect.closeTo(0.4, 9), samples: 20, sampleSeconds: 10, isSumOfPeaks: false });
    expect(peakOfSum([])).toMatchObject({ cores: 0 });
  });

  it("counts the time in which a stream kept up with real time, where its speed is known", () => {
    const { points } = series(every(60, (n) => (n < 30 ? 0.1 : 0.4)));
    const speed = (permille: number) => ({ speedPermille: { min: permille, max: permille } });
    const slow = points.map((point, n) => ({ ...point, gauges: speed(n < 30 ? 800 : 1000) }));
    expect(whileKeepingUp({ points: slow }).points).toHaveLength(30);
    expect(peakOf(samplesOf(whileKeepingUp({ points: slow })))?.cores).toBeCloseTo(0.4, 9);
    expect(whileKeepingUp({ points }).points).toHaveLength(60);
  });

  it("leaves out spans of which a part is not known", () => {
    const gap = series(every(60, (n) => n).map((n) => (n < 30 ? null : 0.4)));
    expect(peakOfSum([gap, series(every(60, () => 0.1))])).toMatchObject({ samples: 30 });
  });

  it("of points that do not begin together is at most the sum of their greatest values", () => {
    const cores = fc.array(fc.double({ min: 0, max: 2, noNaN: true }), { minLength: 30, maxLength: 60 });
    fc.assert(
      fc.property(cores, cores, fc.integer({ min: 0, max: 3000 }), (a, b, startMs) => {
        const peak = peakOfSum([series(a), series(b, { startMs })])?.cores as number;
        expect(peak).toBeLessThanOrEqual(Math.max(...a) + Math.max(...b) + 1e-9);
      }),
    );
  });
});
