import type { Style } from "./style.ts";

const BLOCKS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_LEVELS = ["_", ".", "-", "=", "+", "*", "%", "#"];

/** Returns a character for each value, of which `max` has the highest. A value that is `null` is a blank. */
export function sparkline({ hasUnicode }: Style, values: readonly (number | null)[], max: number): string {
  const levels = hasUnicode ? BLOCKS : ASCII_LEVELS;
  return values
    .map((value) => {
      if (value === null) return " ";
      const level = Math.floor((value / max) * levels.length);
      return levels[Math.max(0, Math.min(level, levels.length - 1))];
    })
    .join("");
}

/** Returns a bar of `width` characters, filled in proportion to `part`, 0 to 1. */
export function bar({ hasUnicode }: Style, part: number, width: number): string {
  const eighths = Math.round(Math.max(0, Math.min(part, 1)) * width * 8);
  const whole = Math.floor(eighths / 8);
  if (!hasUnicode) return "#".repeat(whole).padEnd(width, ".");
  const rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8] ?? "";
  return `${"█".repeat(whole)}${rest}`.padEnd(width);
}

/** A character of a chart: of the line of values, of the line of the limit, or blank. */
export interface ChartCell {
  readonly text: string;
  readonly of: "values" | "limit" | "nothing";
}

interface ChartOptions {
  /** In characters. */
  readonly width: number;
  readonly height: number;
  readonly max: number;
  /** Drawn as a level line. `null`: there is none. */
  readonly limit: number | null;
  readonly limitMark: string;
}

/** The number of values that fit beside each other into one character. */
export function valuesPerCell({ hasUnicode }: Style): number {
  return hasUnicode ? 2 : 1;
}

/** The dots of a braille character from its bottom: the left column and the right one. U+2800. */
const BRAILLE_DOTS = [
  [0x40, 0x04, 0x02, 0x01],
  [0x80, 0x20, 0x10, 0x08],
] as const;
const BRAILLE_LEVELS = 4;
/** Three heights in one line of text. */
const ASCII_HEIGHTS = ["_", "-", "'"];

/**
 * Returns the rows of a chart from 0 to `max`, the highest first. Its line connects values that stand beside each other; a
 * value that is `null` is a gap.
 */
export function chart(
  style: Style,
  values: readonly (number | null)[],
  options: ChartOptions,
): ChartCell[][] {
  const { width, height, max, limit, limitMark } = options;
  const perCell = valuesPerCell(style);
  const levelsPerRow = style.hasUnicode ? BRAILLE_LEVELS : ASCII_HEIGHTS.length;
  const top = height * levelsPerRow - 1;
  const levelOf = (value: number) => Math.max(0, Math.min(top, Math.round((value / max) * top)));
  const levels = Array.from({ length: width * perCell }, (_, index) => {
    const value = values[index] ?? null;
    return value === null ? null : levelOf(value);
  });
  const limitRow =
    limit === null || limit > max ? -1 : height - 1 - Math.floor(levelOf(limit) / levelsPerRow);
  const isSet = (index: number, level: number): boolean => {
    const [before, now] = [levels[index - 1] ?? levels[index], levels[index]];
    if (now === null || now === undefined || before === null || before === undefined) return false;
    // A step is a vertical line, without the dot that its neighbor has.
    return level === now || (level > Math.min(before, now) && level < Math.max(before, now));
  };
  return Array.from({ length: height }, (_, row) =>
    Array.from({ length: width }, (_, column): ChartCell => {
      const bottom = (height - 1 - row) * levelsPerRow;
      const text = style.hasUnicode
        ? brailleOf((dotColumn, dot) => isSet(column * perCell + dotColumn, bottom + dot))
        : asciiOf((dot) => isSet(column, bottom + dot));
      if (text !== undefined) return { text, of: "values" };
      return row === limitRow ? { text: limitMark, of: "limit" } : { text: " ", of: "nothing" };
    }),
  );
}

function brailleOf(isSet: (dotColumn: number, dot: number) => boolean): string | undefined {
  let dots = 0;
  for (const [column, bits] of BRAILLE_DOTS.entries())
    for (const [dot, bit] of bits.entries()) if (isSet(column, dot)) dots |= bit;
  return dots === 0 ? undefined : String.fromCharCode(0x2800 + dots);
}

function asciiOf(isSet: (dot: number) => boolean): string | undefined {
  const set = ASCII_HEIGHTS.filter((_, dot) => isSet(dot));
  return set.length > 1 ? "|" : set[0];
}

/** Returns the least round number that is not below the value, for the top of a chart. */
export function roundedUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-3)));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= value) ?? 10;
  return step * power;
}
