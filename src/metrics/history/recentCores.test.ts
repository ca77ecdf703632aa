import { expect, test } from "bun:test";
import fc from "fast-check";
import { someJob } from "../../../test/support/jobs.ts";
import { someUse } from "../../../test/support/samples.ts";
import { JobHistory } from "./jobHistory.ts";
import { RecentCores } from "./recentCores.ts";

interface Span {
  startSecond: number;
  endSecond: number;
  cores: number | null;
}

const span = (startSecond: number, endSecond: number, cores: number | null): Span => ({
  startSecond,
  endSecond,
  cores,
});

function coresOf(spans: readonly Span[]): readonly (number | null)[] {
  const recent = new RecentCores();
  for (const { startSecond, endSecond, cores } of spans)
    recent.add(
      startSecond * 1000,
      endSecond * 1000,
      cores === null ? null : cores * (endSecond - startSecond) * 1e6,
    );
  return recent.values();
}

test("each value is the use in 5 s, of however many points", () => {
  const seconds = Array.from({ length: 200 }, (_, second) => span(second, second + 1, second < 195 ? 1 : 2));
  expect(coresOf(seconds)).toEqual([...Array(23).fill(1), 2]);
  const slow = Array.from({ length: 20 }, (_, n) => span(10 * n, 10 * n + 10, n < 19 ? 0.5 : 1.5));
  expect(coresOf(slow)).toEqual([...Array(22).fill(0.5), 1.5, 1.5]);
  expect(coresOf([span(0, 1000, 0.25)])).toEqual(Array(24).fill(0.25));
});

test("a time without points, and one whose use is unknown, have no value", () => {
  expect(coresOf([])).toEqual(Array(24).fill(null));
  const points = [span(1000, 1010, 1), span(1010, 1020, null), span(1020, 1030, 2)];
  expect(coresOf(points)).toEqual([...Array(18).fill(null), 1, 1, null, null, 2, 2]);
  expect(coresOf([span(1000, 1010, 1), span(9000, 9010, 2)])).toEqual([...Array(22).fill(null), 2, 2]);
});

test("the present 5 s have no value before they are over, so that no value changes", () => {
  const points = [span(1000, 1010, 1)];
  expect(coresOf([...points, span(1010, 1013, 4)])).toEqual(coresOf(points));
  expect(coresOf([...points, span(1010, 1013, 4), span(1013, 1015, 1)]).at(-1)).toBeCloseTo(2.8);
});

test("the values are those of all spans together", () => {
  const spans = fc
    .array(
      fc.record({
        seconds: fc.integer({ min: 1, max: 40 }),
        cores: fc.option(fc.nat({ max: 8 }), { nil: null }),
      }),
      { minLength: 1, maxLength: 200 },
    )
    .map((parts) => {
      let endSecond = 1000;
      return parts.map(({ seconds, cores }) => {
        const startSecond = endSecond;
        endSecond += seconds;
        return span(startSecond, endSecond, cores);
      });
    });
  fc.assert(
    fc.property(spans, (all) => {
      const endSecond = 5 * Math.floor((all.at(-1)?.endSecond ?? 0) / 5);
      const expected = Array.from({ length: 24 }, (_, index) => {
        const from = endSecond - 5 * (24 - index);
        const known = [0, 1, 2, 3, 4].flatMap((second) => {
          const at = all.find((each) => each.startSecond <= from + second && from + second < each.endSecond);
          return at?.cores ?? [];
        });
        return known.length < 2.5 ? null : known.reduce((sum, cores) => sum + cores) / known.length;
      });
      const rounded = (values: readonly (number | null)[]) =>
        values.map((value) => (value === null ? null : Math.round(value * 1e6)));
      expect(rounded(coresOf(all))).toEqual(rounded(expected));
    }),
    { numRuns: 60 },
  );
});

test("a job that is read again and again has its last 2 minutes", () => {
  const history = new JobHistory();
  expect(history.recentCores()).toEqual(Array(24).fill(null));
  const job = someJob();
  let cpuUsec = 0;
  for (let second = 0; second <= 600; second++) {
    const use = someUse(job, { cpuUsec });
    history.record({ ...use, now: { ...use.now, atBootMs: 100_000 + 1000 * second } });
    cpuUsec += second < 580 ? 1e6 : 3e6;
  }
  const cores = history.recentCores();
  expect(cores.map((value) => Math.round(value ?? -1))).toEqual([...Array(20).fill(1), ...Array(4).fill(3)]);
});
