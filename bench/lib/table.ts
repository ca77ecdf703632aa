/** Formats a Markdown table with the first column aligned to the left and the others to the right. */
export function markdownTable(headings: string[], rows: (string | number)[][]): string {
  const lines = [headings, ...rows.map((row) => row.map(String))];
  const widths = headings.map((_, column) =>
    Math.max(3, ...lines.map((line) => (line[column] ?? "").length)),
  );
  const render = (cells: string[]): string =>
    `| ${cells.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? `${"-".repeat(width + 2)}` : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [render(headings), rule, ...lines.slice(1).map(render)].join("\n");
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}

/** Formats a line under a table: the target, the result, and whether the result reaches the target. */
export function target(text: string, reached: boolean): string {
  return `- ${reached ? "reached" : "**not reached**"}: ${text}`;
}

export function ms(value: number): string {
  if (Number.isNaN(value)) return "–";
  return value.toFixed(value < 1 ? 2 : 1);
}
