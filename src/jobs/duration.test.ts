import { expect, test } from "bun:test";
import { formatDuration } from "./duration.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test("a duration has two figures that a person can take in", () => {
  const texts: [number, string][] = [
    [0, "0.0s"],
    [-5, "0.0s"],
    [440, "0.4s"],
    [9940, "9.9s"],
    [9999, "10.0s"],
    [12 * SECOND, "12s"],
    [59_400, "59s"],
    [59_600, "1m00s"],
    [3 * MINUTE + 5 * SECOND, "3m05s"],
    [HOUR - 400, "1h00m"],
    [2 * HOUR + 3 * MINUTE, "2h03m"],
    [4 * DAY + 7 * HOUR, "4d07h"],
    [400 * DAY, "400d00h"],
  ];
  for (const [ms, text] of texts) expect(formatDuration(ms)).toBe(text);
});
