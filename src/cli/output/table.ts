/** A column of a table. `right` aligns it to the right, for numbers. */
export interface Column<T> {
  heading: string;
  right?: boolean;
  text(row: T): string;
}

/** Renders aligned columns, two spaces apart. The last column is not padded. */
export function renderTable<T>(columns: Column<T>[], rows: T[]): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.text(row))));
  const widths = columns.map((column, index) =>
    Math.max(width(column.heading), ...cells.map((line) => width(line[index] ?? ""))),
  );
  const lines = [columns.map(({ heading }) => heading), ...cells];
  return lines.map((line) => renderLine(line, columns, widths)).join("\n");
}

function renderLine<T>(line: string[], columns: Column<T>[], widths: number[]): string {
  return line
    .map((cell, index) => {
      const padding = " ".repeat((widths[index] ?? 0) - width(cell));
      if (columns[index]?.right) return padding + cell;
      return index === columns.length - 1 ? cell : cell + padding;
    })
    .join("  ")
    .trimEnd();
}

/** Replaces control characters, which must not reach the terminal. A process name can contain any. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to replace
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

function width(text: string): number {
  return Bun.stringWidth(text);
}
