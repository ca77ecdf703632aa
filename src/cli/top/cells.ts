import { oneLine } from "../../sys/visibleText.ts";
import { cutToWidth } from "../output/table.ts";
import { type Paint, paint, type Style } from "./style.ts";

/** A part of a line: its text, which a process may have chosen, and its color. */
export type Span = string | readonly [text: string, color: Paint | undefined];

/** A part of a line with a fixed width. */
export interface Cell {
  readonly text: string;
  readonly width: number;
  readonly right?: boolean | undefined;
  readonly color?: Paint | undefined;
}

/** Returns a line of at most `columns` columns from its parts. Control characters in them are shown as text. */
export function lineOf(style: Style, columns: number, spans: readonly Span[]): string {
  let left = columns;
  let line = "";
  for (const span of spans) {
    const [text, color] = typeof span === "string" ? [span, undefined] : span;
    if (left <= 0) break;
    const shown = cutToWidth(oneLine(text), left);
    left -= Bun.stringWidth(shown);
    line += color === undefined ? shown : paint(style, color, shown);
  }
  return line;
}

/** Returns the parts of a row of cells, one space apart. */
export function cellSpans(cells: readonly Cell[]): Span[] {
  return cells.flatMap(({ text, width, right, color }, index): Span[] => {
    const shown = cutToWidth(oneLine(text), width);
    const pad = " ".repeat(Math.max(0, width - Bun.stringWidth(shown)));
    const gap: Span[] = index === 0 ? [] : [" "];
    return right ? [...gap, pad, [shown, color]] : [...gap, [shown, color], pad];
  });
}

/** Returns a line with a text at each end. Where both do not fit, the left one is cut. */
export function spread(style: Style, columns: number, left: readonly Span[], right: readonly Span[]): string {
  const room = columns - widthOf(right);
  const gap = room - widthOf(left);
  if (!Number.isFinite(gap)) return lineOf(style, columns, [...left, "   ", ...right]);
  if (gap >= 1) return lineOf(style, columns, [...left, " ".repeat(gap), ...right]);
  return room < columns / 2
    ? lineOf(style, columns, left)
    : `${lineOf(style, room - 1, left)} ${lineOf(style, columns, right)}`;
}

export function widthOf(spans: readonly Span[]): number {
  return spans.reduce(
    (sum, span) => sum + Bun.stringWidth(oneLine(typeof span === "string" ? span : span[0])),
    0,
  );
}

/** Returns a text in lines of at most `columns` columns, broken between words where that is possible. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of oneLine(text).split(" ")) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (Bun.stringWidth(joined) <= columns) {
      line = joined;
      continue;
    }
    if (line !== "") lines.push(line);
    const parts = split(word, columns);
    lines.push(...parts.slice(0, -1));
    line = parts.at(-1) ?? "";
  }
  return [...lines, line];
}

/** Splits a word that is wider than the screen. */
function split(word: string, columns: number): string[] {
  const parts: string[] = [""];
  let left = columns;
  for (const { segment } of new Intl.Segmenter().segment(word)) {
    const width = Bun.stringWidth(segment);
    if (width > left && parts.at(-1) !== "") {
      parts.push("");
      left = columns;
    }
    parts[parts.length - 1] += segment;
    left -= width;
  }
  return parts;
}
