import { expect, test } from "bun:test";
import fc from "fast-check";
import { bitRateText, coresText, shortBits, shortBytes, shortDuration } from "./amounts.ts";

const MIB = 2 ** 20;

test("amounts have two or three digits, and never more than four characters", () => {
  expect([0, 512, 1000, 365 * MIB, 2048 * MIB, 9.96 * MIB].map((bytes) => shortBytes(bytes, "-"))).toEqual([
    ...["0", "512", "1.0K", "365M", "2.0G", "10M"],
  ]);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 2 ** 59, noNaN: true }), (amount) => {
      expect(shortBytes(amount, "-").length).toBeLessThanOrEqual(4);
      expect(shortBits(amount / 1e6, "-").length).toBeLessThanOrEqual(4);
      expect(shortDuration(amount / 1e12).length).toBeLessThanOrEqual(4);
    }),
  );
});

test("what a network carries is in bits of units of 1000", () => {
  expect([0, 38_750, 300_000, 1.25e9].map((rate) => shortBits(rate, "-"))).toEqual([
    ...["0", "310k", "2.4M", "10G"],
  ]);
  expect([0, 38_750, 300_000, null].map((rate) => bitRateText(rate, "-"))).toEqual([
    ...["0 b/s", "310 kb/s", "2.4 Mb/s", "-"],
  ]);
});

test("cores and durations fit their columns", () => {
  expect([null, 0.004, 1.456, 9.996, 99.96].map((cores) => coresText(cores, "-"))).toEqual([
    ...["-", "0.00", "1.46", "10.0", "100"],
  ]);
  expect([0.4, 45, 99.6, 660, 8040, 86_400, 400_000].map(shortDuration)).toEqual([
    ...["0s", "45s", "2m", "11m", "2h14", "24h", "4d"],
  ]);
});
