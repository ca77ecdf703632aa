import { oneLine } from "../../sys/visibleText.ts";

/** A column of a table. `right` aligns it to the right, for numbers. */
export interface Column<T> {
  heading: string;
  right?: boolean;
  text(row: T): string;
}

/** Renders aligned columns, two spaces apart. */
export function renderTable<T>(columns: Column<T>[], rows: T[]): string {
  const cells = rows.map((row) => columns.map(({ text }) => oneLine(text(row))));
  const lines = [columns.map(({ heading }) => heading), ...cells];
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => Bun.stringWidth(line[index] ?? ""))),
  );
  const align = (cell: string, index: number) => {
    const padding = " ".repeat((widths[index] ?? 0) - Bun.stringWidth(cell));
    return columns[index]?.right ? padding + cell : cell + padding;
  };
  return lines.map((line) => line.map(align).join("  ").trimEnd()).join("\n");
}

export type Pair = [label: string, text: string];

/** Renders one line for each pair, with the texts aligned. */
export function renderPairs(pairs: Pair[]): string {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return pairs.map(([label, text]) => `${label.padEnd(width)}  ${oneLine(text)}`).join("\n");
}
