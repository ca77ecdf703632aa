import { expect, test } from "bun:test";
import {
  bitRateText,
  byteRateText,
  coresText,
  durationText,
  memoryLimitText,
  memoryText,
  percentText,
  quotaText,
  short,
  speedText,
  timeText,
} from "./format.ts";

test("what is not known is a dash, never 0", () => {
  for (const format of [
    coresText,
    memoryText,
    bitRateText,
    byteRateText,
    percentText,
    speedText,
    durationText,
  ])
    for (const unknown of [null, undefined]) expect(format(unknown)).toBe("–");
  expect(timeText(null)).toBe("–");
});

test("amounts have three digits and the unit that keeps them short", () => {
  expect(memoryText(365 * 1024 ** 2)).toBe("365 MiB");
  expect(memoryText(11.04 * 1024 ** 3)).toBe("11.0 GiB");
  // 999.5 KiB is no four digits.
  expect(memoryText(999.6 * 1024)).toBe("0.98 MiB");
  expect(bitRateText(525_000)).toBe("4.20 Mb/s");
  expect(bitRateText(0)).toBe("0 b/s");
  expect(byteRateText(1_250_000)).toBe("1.25 MB/s");
  expect(coresText(1.456)).toBe("1.46");
  expect(speedText(0.628)).toBe("0.63×");
});

test("a limit has no digits that it does not need", () => {
  expect([1.5, 2, 0.25].map(quotaText)).toEqual(["1.5", "2", "0.25"]);
  expect([2 * 1024 ** 3, 1.5 * 1024 ** 3, 512 * 1024 ** 2, 100 * 1024 ** 2].map(memoryLimitText)).toEqual([
    "2 GiB",
    "1.5 GiB",
    "512 MiB",
    "100 MiB",
  ]);
  expect(["100 %", "0.50×", "10", "0.0 s"].map(short)).toEqual(["100 %", "0.5×", "10", "0 s"]);
});

test("a duration has at most two units, and seconds only where they matter", () => {
  expect([0, 45, 663, 8040, 273_600].map((seconds) => durationText(seconds))).toEqual([
    "0 s",
    "45 s",
    "11 min",
    "2 h 14 min",
    "3 d 4 h",
  ]);
  expect([0.24, 45, 663].map((seconds) => durationText(seconds, true))).toEqual([
    "0.2 s",
    "45 s",
    "11 min 3 s",
  ]);
  // A clock that was set back is no negative time.
  expect(durationText(-5)).toBe("0 s");
});

test("a time of another day has its date", () => {
  const now = new Date(2026, 10, 27, 14, 0, 0);
  expect(timeText(new Date(2026, 10, 27, 9, 2, 11).toISOString(), now)).toBe("09:02:11");
  expect(timeText(new Date(2026, 10, 26, 9, 2, 11).toISOString(), now)).toBe("2026-11-26 09:02:11");
});
