import { expect, test } from "bun:test";
import { memoryText, percentText, rateText, shareText } from "./amounts.ts";

test("amounts have three significant digits, memory in powers of 1024 and rates of 1000", () => {
  expect([0, 999, 1024, 65_011_712, 1023 * 1024 ** 2, 171e6].map(memoryText)).toEqual([
    "0 B",
    "999 B",
    "1.00 KiB",
    "62.0 MiB",
    "1.00 GiB",
    "163 MiB",
  ]);
  expect([0, 999, 1000, 1_250_000, 999_600].map(rateText)).toEqual([
    "0 B/s",
    "999 B/s",
    "1.00 kB/s",
    "1.25 MB/s",
    "1.00 MB/s",
  ]);
  expect([percentText(152.34), shareText(89.6)]).toEqual(["152.3", "90 %"]);
});

test("an unknown amount is no number", () => {
  expect([memoryText(null), rateText(null), percentText(null), shareText(null)]).toEqual([
    "-",
    "-",
    "-",
    "-",
  ]);
});
