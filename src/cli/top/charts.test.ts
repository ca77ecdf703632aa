import { expect, test } from "bun:test";
import { bar, chart, roundedUp, sparkline } from "./charts.ts";

const UNICODE = { hasColor: false, hasUnicode: true };
const ASCII = { hasColor: false, hasUnicode: false };

function draw(
  style: typeof UNICODE,
  values: (number | null)[],
  { height = 1, max = 1, limit = null as number | null } = {},
): string[] {
  const width = style.hasUnicode ? Math.ceil(values.length / 2) : values.length;
  const rows = chart(style, values, { width, height, max, limit, limitMark: "." });
  return rows.map((row) => row.map(({ text }) => text).join(""));
}

test("a chart has two values in a character and four heights in a line, and its top is the maximum", () => {
  expect(draw(UNICODE, [0, 0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1, 1])).toEqual(["⣀⠤⠒⠉"]);
  expect(draw(UNICODE, [0, 1, 1], { height: 2 })).toEqual(["⢸⠁", "⡸ "]);
});

test("a step is drawn as a vertical line, and a gap has nothing", () => {
  expect(draw(ASCII, [0, 0, 1, 1, null, null, 0], { height: 3 })).toEqual(["  |'   ", "  |    ", "__|   _"]);
});

test("values above the maximum stay in the chart, and a limit is behind the values", () => {
  expect(draw(ASCII, [9, 0, null], { height: 2, limit: 1 })).toEqual(["'|.", " | "]);
  expect(draw(ASCII, [0, 0], { height: 2, limit: 5 })).toEqual(["  ", "__"]);
});

test("a bar is filled in eighths, and a sparkline has blanks for what is unknown", () => {
  expect(bar(UNICODE, 0.43, 3)).toBe("█▎ ");
  expect(bar(ASCII, 0.43, 3)).toBe("#..");
  expect([-1, 2].map((part) => bar(UNICODE, part, 2))).toEqual(["  ", "██"]);
  expect(sparkline(UNICODE, [0, null, 0.5, 1, 7], 1)).toBe("▁ ▅██");
  expect(sparkline(ASCII, [0, null, 1], 1)).toBe("_ #");
});

test("the top of a chart without a limit is a round number", () => {
  expect([0, 0.07, 0.11, 1, 1.2, 2.1, 3, 48, 99, 101].map(roundedUp)).toEqual([
    0.001, 0.1, 0.2, 1, 2, 2.5, 5, 50, 100, 200,
  ]);
});
