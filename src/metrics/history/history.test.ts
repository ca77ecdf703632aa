import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { someJob } from "../../../test/support/jobs.ts";
import { someUse } from "../../../test/support/samples.ts";
import { UNKNOWN_COUNTERS } from "../../limits/counters.ts";
import { NO_MEDIA } from "../media/mediaReader.ts";
import { decodeHistory, encodeHistory, type StoredHistory } from "./encoding.ts";
import { JobHistory } from "./jobHistory.ts";
import { COUNTS, mergePoints, type Point, resample } from "./points.ts";
import { Ring } from "./ring.ts";

/** Two points as ffrtmp stored them before it knew the network and the media time. */
const EARLIER =
  "KLUv/WApAdUIAOIPMCFQiaoDE5quLBdrZxoEGSYxob4cRg4MLQj8yZ4wkJmZ3QfNWmuP+lqHJ0eUUovIFvm1Et0nB90fkO6RQfcGRPdIQfcF9bW636P7o0d9qe7XVaWEjF4w3PKPNcw3jVtaiwD8IoT8EtGhcC+PQMFYwC3cD8TjuQY3FNy63WN0vrXIpIQKtzxOsHbRII8QSqkwHIgOBT5uJjolj2gGWcsfZnGOfKOqu+1cQV4TA5KgkxIGtMYQMiFls/xJybgFPj7IhCYgUCLCzHQuiCgxJi20KMX36TYN0Tjdm6YkMAMIeVxvXQsKC1bibljwSEJqWcEzJaQKDtLUs0ABA4sBfoO/Dm334izQdl0+1h0bWmkIPSWNEU1VCw4DZA==";

const amount = fc.option(fc.nat({ max: 2 ** 40 }), { nil: null });
const counts = fc.record(Object.fromEntries(COUNTS.map((name) => [name, amount]))) as unknown as fc.Arbitrary<
  Point["counts"]
>;
const range = fc.option(
  fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) })),
  { nil: null },
);
const gauges = fc.record({
  memoryBytes: range,
  processCount: range,
  speedPermille: range,
  sendBacklogMs: range,
});
/** Points one after the other, of 0.5 to 30 s each. */
const timeline = (minLength: number, maxLength: number): fc.Arbitrary<Point[]> =>
  fc
    .array(fc.record({ lengthMs: fc.integer({ min: 500, max: 30_000 }), counts, gauges }), {
      minLength,
      maxLength,
    })
    .map((parts) => {
      let endMs = 1_000_000;
      return parts.map(({ lengthMs, ...rest }) => {
        const startMs = endMs;
        endMs += lengthMs;
        return { startMs, endMs, ...rest };
      });
    });

const together = (points: readonly Point[]): Point => points.reduce(mergePoints);

function isContiguous(points: readonly Point[]): boolean {
  return points.every(({ startMs }, index) => index === 0 || startMs === points[index - 1]?.endMs);
}

describe("a ring of the whole time", () => {
  it("has at most 360 points, which together are all that was added", () => {
    fc.assert(
      fc.property(timeline(1, 2000), fc.constantFrom(1000, 10_000), (points, pointMs) => {
        const ring = new Ring({ pointMs });
        for (const point of points) ring.add(point);
        expect(ring.points.length).toBeLessThanOrEqual(360);
        expect(isContiguous(ring.points)).toBe(true);
        expect(together(ring.points)).toEqual(together(points));
      }),
      { numRuns: 40 },
    );
  });

  it("has points of their own for the first time in which a count was unknown", () => {
    const ring = new Ring({ pointMs: 10_000 });
    const second = (n: number, mediaMsec: number | null) => ({
      ...span(n * 1000, 1000),
      counts: { ...span(0, 1).counts, tcpSentBytes: n < 1 ? null : 1, mediaMsec },
    });
    for (let n = 0; n < 55; n++) ring.add(second(n, n < 3 || n === 45 ? null : 900));
    expect(
      ring.points.map(({ startMs, counts }) => [startMs, counts.tcpSentBytes, counts.mediaMsec]),
    ).toEqual([
      [0, null, null],
      [1000, 2, null],
      [3000, 10, 9000],
      [13_000, 10, 9000],
      [23_000, 10, 9000],
      [33_000, 10, 9000],
      [43_000, 10, null],
      [53_000, 2, 1800],
    ]);
  });

  it("has points of the same length, at least 180 of them once it was full", () => {
    const ring = new Ring({ pointMs: 10_000 });
    for (let second = 0; second < 86_400; second += 10) ring.add(span(second * 1000, 10_000));
    // A day: 8640 readings, in points of 320 s.
    expect(ring.pointMs).toBe(320_000);
    expect(ring.points).toHaveLength(270);
    expect(new Set(ring.points.map(({ startMs, endMs }) => endMs - startMs))).toEqual(new Set([320_000]));
  });

  it("keeps its length although the readings come a little early or late", () => {
    const ring = new Ring({ pointMs: 10_000 });
    let atMs = 0;
    for (let n = 0; n < 3600; n++) {
      const lengthMs = 10_000 + (n % 2 === 0 ? -40 : 45);
      ring.add(span(atMs, lengthMs));
      atMs += lengthMs;
    }
    expect(ring.pointMs).toBe(160_000);
    expect(ring.points.length).toBeGreaterThan(180);
  });
});

describe("a ring of the latest time", () => {
  it("has the last points, each of at least half its length, and drops the oldest", () => {
    fc.assert(
      fc.property(timeline(1, 1500), fc.constantFrom(600_000, 1e9), (points, latestMs) => {
        const ring = new Ring({ pointMs: 1667, latestMs });
        for (const point of points) ring.add(point);
        const [first, last] = [ring.points[0] as Point, ring.points.at(-1) as Point];
        expect(ring.points.length).toBeLessThanOrEqual(360);
        expect(isContiguous(ring.points)).toBe(true);
        expect(last.endMs).toBe(points.at(-1)?.endMs as number);
        expect(together(ring.points)).toEqual(
          together(points.filter(({ startMs }) => startMs >= first.startMs)),
        );
        // The first ones can be those of the start of a job.
        const short = ring.points.slice(3, -1).filter(({ startMs, endMs }) => endMs - startMs < 1667 / 2);
        expect(short).toEqual([]);
        expect(first.endMs).toBeGreaterThan(last.endMs - latestMs);
      }),
      { numRuns: 40 },
    );
  });
});

describe("a ring of any time", () => {
  it("keeps each number, large, small, broken or unknown, as it was", () => {
    const values = [0, 1, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 0.5, null, null, 7];
    for (const from of values.keys()) {
      const turned = [...values.slice(from), ...values.slice(0, from)];
      const ring = new Ring({ pointMs: 10_000 });
      const points = turned.map((value, n) => ({
        ...span(n * 10_000, 10_000),
        counts: { ...span(0, 1).counts, tcpSentBytes: value },
      }));
      for (const point of points) ring.add(point);
      expect(ring.points).toEqual(points);
    }
  });
});

describe("mergePoints()", () => {
  it("gives the same whatever is merged first", () => {
    fc.assert(
      fc.property(timeline(3, 3), ([a, b, c]) => {
        const [x, y, z] = [a, b, c] as [Point, Point, Point];
        expect(mergePoints(mergePoints(x, y), z)).toEqual(mergePoints(x, mergePoints(y, z)));
      }),
    );
  });
});

describe("resample()", () => {
  it("merges to at most the wanted number, and loses nothing", () => {
    fc.assert(
      fc.property(timeline(1, 360), fc.integer({ min: 1, max: 80 }), (points, count) => {
        const merged = resample(points, count);
        expect(merged.length).toBeLessThanOrEqual(count);
        expect(isContiguous(merged)).toBe(true);
        expect(together(merged)).toEqual(together(points));
      }),
      { numRuns: 100 },
    );
    expect(resample([], 60)).toEqual([]);
  });
});

describe("the stored form", () => {
  it("is read back as it was", () => {
    fc.assert(
      fc.property(timeline(0, 360), (points) => {
        const stored: StoredHistory = {
          pointMs: 20_000,
          points,
          last: { atBootMs: 9_000_000, counters: { ...UNKNOWN_COUNTERS, cpuUsec: 77 } },
          at: { wallMs: 1_790_000_000_000, bootMs: 9_100_000 },
        };
        const withStart = points.length === 0 ? { ...stored, points: [] } : stored;
        expect(decodeHistory(encodeHistory(stored))).toEqual(withStart);
      }),
      { numRuns: 50 },
    );
  });

  it("of an earlier version lacks what that did not count, and continues", () => {
    const stored = decodeHistory(Uint8Array.fromBase64(EARLIER)) as StoredHistory;
    expect(stored.points).toHaveLength(2);
    expect(stored.points[1]).toMatchObject({
      ...{ startMs: 11_000, endMs: 21_000 },
      counts: {
        cpuUsec: 200,
        ioReadBytes: null,
        ioFullPressureUsec: 209,
        tcpSentBytes: null,
        mediaMsec: null,
      },
      gauges: { memoryBytes: { min: 7, max: 8 }, processCount: { min: 1, max: 2 }, speedPermille: null },
    });
    const history = new JobHistory(stored);
    const job = someJob({ jobId: "earlier" });
    const use = (atBootMs: number, mediaSeconds: number) => {
      const sample = someUse(job, { cpuUsec: atBootMs });
      return { ...sample, now: { ...sample.now, atBootMs }, media: { ...NO_MEDIA, mediaSeconds } };
    };
    history.record(use(31_000, 4));
    history.record(use(41_000, 14.5));
    history.record(use(51_000, 3));
    const points = decodeHistory(history.encode({ wallMs: 5, bootMs: 51_000 }) as Uint8Array)?.points ?? [];
    expect(points.map(({ counts }) => counts.cpuUsec)).toEqual([100, 200, 31_000 - 777, 10_000, 10_000]);
    // Unknown before the second answer of the meter, and where the media time went back.
    expect(points.map(({ counts }) => counts.mediaMsec)).toEqual([null, null, null, 10_500, null]);
  });

  it("is rejected when it is damaged, from a later version or too large, without an exception", () => {
    const good = encodeHistory({
      pointMs: 10_000,
      points: [span(0, 10_000)],
      last: { atBootMs: 10_000, counters: UNKNOWN_COUNTERS },
      at: { wallMs: 5, bootMs: 10_000 },
    });
    const text = Bun.zstdDecompressSync(good).toString("utf8");
    const changed = (from: string, to: string) => Bun.zstdCompressSync(text.replace(from, to));
    expect(decodeHistory(good)).toBeDefined();
    expect(decodeHistory(good.slice(0, 20))).toBeUndefined();
    expect(decodeHistory(new Uint8Array(0))).toBeUndefined();
    expect(decodeHistory(new Uint8Array(2 << 20))).toBeUndefined();
    expect(decodeHistory(changed('"version":1', '"version":2'))).toBeUndefined();
    expect(decodeHistory(changed('"lengths":[10000]', '"lengths":["10000"]'))).toBeUndefined();
    expect(decodeHistory(changed('"lengths":[10000]', '"lengths":[1,2]'))).toBeUndefined();
    expect(decodeHistory(changed('"last":{', '"first":{'))).toBeUndefined();
    expect(decodeHistory(Bun.zstdCompressSync("[]"))).toBeUndefined();
  });
});

function span(startMs: number, lengthMs: number): Point {
  return {
    startMs,
    endMs: startMs + lengthMs,
    counts: Object.fromEntries(COUNTS.map((name) => [name, 1])) as Point["counts"],
    gauges: { memoryBytes: { min: 1, max: 2 }, processCount: null, speedPermille: null, sendBacklogMs: null },
  };
}
