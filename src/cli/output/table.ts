import { oneLine } from "../../sys/visibleText.ts";

/** A column of a table. */
export interface Column<T> {
  heading: string;
  /** Aligns the column to the right, for numbers. */
  right?: boolean;
  text(row: T): string;
  /** The column that gets the rest of a terminal's width. Its text is cut, and ends with `…` then. */
  flexible?: true;
  /** The width below which other columns yield to the flexible one. Default: 12. */
  minWidth?: number;
  /** The order in which columns are left out where the terminal is too narrow, 1 first. Absent: never. */
  yields?: number;
  /** A shorter text, which is used where the terminal is too narrow; `yields` is its place in the same order. */
  short?: { yields: number; text(row: T): string };
}

/** A flexible column narrower than this shows too little. */
const MIN_FLEXIBLE_WIDTH = 12;
const GAP = "  ";

/**
 * Renders aligned columns, two spaces apart. With a width, columns yield until the table fits, and then the flexible
 * column is cut. Columns that say nothing in any row are the first to yield. The columns that never yield can be wider.
 */
export function renderTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  maxWidth = Number.POSITIVE_INFINITY,
): string {
  let shown = columns.map((column) => fill(column, rows, column.text));
  if (widthOf(shown, ({ width }) => width) > maxWidth)
    shown = shown.filter(({ column, cells }) => column.yields === undefined || !cells.every(isNothing));
  for (const yieldOne of stepsOf(columns, rows)) {
    if (widthOf(shown) <= maxWidth) break;
    shown = yieldOne(shown);
  }
  const tooWide = widthOf(shown, ({ width }) => width) - maxWidth;
  for (const each of shown) {
    if (!each.column.flexible || tooWide <= 0) continue;
    each.width = Math.max(each.width - tooWide, Bun.stringWidth(each.column.heading));
    each.cells = each.cells.map((cell) => cutToWidth(cell, each.width));
  }
  const lineOf = (toCell: (each: Filled<T>) => string): string =>
    shown
      .map((each) => align(toCell(each), each))
      .join(GAP)
      .trimEnd();
  const lines = rows.map((_, index) => lineOf(({ cells }) => cells[index] ?? ""));
  return [lineOf(({ column }) => column.heading), ...lines].join("\n");
}

/** A column with the texts of its rows. */
interface Filled<T> {
  column: Column<T>;
  cells: string[];
  width: number;
}

function fill<T>(column: Column<T>, rows: readonly T[], toText: (row: T) => string): Filled<T> {
  const cells = rows.map((row) => oneLine(toText(row)));
  // Not by Math.max(...): a history can have more rows than a call can have arguments.
  const widest = (width: number, cell: string) => Math.max(width, Bun.stringWidth(cell));
  return { column, cells, width: cells.reduce(widest, Bun.stringWidth(column.heading)) };
}

function isNothing(cell: string): boolean {
  return cell === "-" || cell === "";
}

/** Returns the ways to make a table narrower, in their order. */
function stepsOf<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
): ((shown: Filled<T>[]) => Filled<T>[])[] {
  const steps = columns.flatMap((column) => {
    const { short, yields } = column;
    const shorten = (each: Filled<T>) =>
      each.column === column && short ? fill(column, rows, short.text) : each;
    return [
      ...(short ? [{ at: short.yields, step: (shown: Filled<T>[]) => shown.map(shorten) }] : []),
      ...(yields === undefined
        ? []
        : [{ at: yields, step: (shown: Filled<T>[]) => shown.filter((each) => each.column !== column) }]),
    ];
  });
  return steps.sort((a, b) => a.at - b.at).map(({ step }) => step);
}

function widthOf<T>(
  shown: readonly Filled<T>[],
  widthOfColumn = ({ column, width }: Filled<T>) =>
    column.flexible ? Math.min(width, column.minWidth ?? MIN_FLEXIBLE_WIDTH) : width,
): number {
  const widths = shown.map(widthOfColumn);
  return widths.reduce((sum, width) => sum + width, 0) + GAP.length * (shown.length - 1);
}

function align<T>(cell: string, { column, width }: Filled<T>): string {
  const padding = " ".repeat(Math.max(0, width - Bun.stringWidth(cell)));
  return column.right ? padding + cell : cell + padding;
}

/** Returns a text that takes at most `width` columns of a terminal, with `…` at the end where it was cut. */
export function cutToWidth(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  let kept = "";
  let left = width - 1;
  // A character of two code units, or one with accents of its own, must not be cut in half.
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    left -= Bun.stringWidth(segment);
    if (left < 0) break;
    kept += segment;
  }
  return `${kept}…`;
}

export type Pair = [label: string, text: string];

/** Renders one line for each pair, with the texts aligned. */
export function renderPairs(pairs: Pair[]): string {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return pairs.map(([label, text]) => `${label.padEnd(width)}  ${oneLine(text)}`).join("\n");
}
