import { type Column, renderTable } from "../output/table.ts";

/** A table as a command prints it into a pipe: columns that are two or more spaces apart. */
export interface ParsedTable {
  readonly headings: readonly string[];
  /** The columns that are aligned to the right. */
  readonly right: ReadonlySet<string>;
  readonly rows: readonly (readonly string[])[];
}

interface Cell {
  text: string;
  start: number;
  end: number;
}

// JOB   PID  CPU %  COMMAND
// a    4026   99.0  ffmpeg -i  in.mp4   ← the last column contains the rest of its line
/** Parses the tables of a text, which an empty line separates. */
export function parseTables(text: string): ParsedTable[] {
  return text
    .split(/\n{2,}/)
    .map((block) => block.split("\n").filter((line) => line !== ""))
    .flatMap(([first, ...lines]) => {
      if (first === undefined) return [];
      const headings = cellsOf(first, Number.POSITIVE_INFINITY);
      const rows = lines.map((line) => cellsOf(line, headings.length));
      const isRight = (heading: Cell, index: number) =>
        rows.some((row) => row[index] !== undefined && row[index].start !== heading.start) &&
        rows.every((row) => row[index] === undefined || row[index].end === heading.end);
      return [
        {
          headings: headings.map((heading) => heading.text),
          right: new Set(headings.filter(isRight).map((heading) => heading.text)),
          rows: rows.map((row) => headings.map((_, index) => row[index]?.text ?? "")),
        },
      ];
    });
}

/** The last of `count` cells has the rest of the line. */
function cellsOf(line: string, count: number): Cell[] {
  const cells: Cell[] = [];
  const pattern = /\S+(?: \S+)*/g;
  for (let match = pattern.exec(line); match !== null; match = pattern.exec(line)) {
    const start = match.index;
    if (cells.length === count - 1)
      return [...cells, { text: line.slice(start).trimEnd(), start, end: line.length }];
    cells.push({ text: match[0], start, end: pattern.lastIndex });
  }
  return cells;
}

/** A table of one machine. */
export interface HostTable {
  readonly host: string;
  readonly table: ParsedTable;
}

/** Renders the tables of several machines as one, with the machine first. A column that a machine lacks is `-` there. */
export function renderMerged(tables: readonly HostTable[], width?: number): string {
  const headings = mergeHeadings(tables.map(({ table }) => table.headings));
  const rows = tables.flatMap(({ host, table }) =>
    table.rows.map((cells) => ({
      host,
      cells: new Map(table.headings.map((heading, index) => [heading, cells[index] ?? ""])),
    })),
  );
  const columns = headings.map(
    (heading, index): Column<(typeof rows)[number]> => ({
      heading,
      right: tables.some(({ table }) => table.right.has(heading)),
      text: ({ cells }) => cells.get(heading) ?? "-",
      ...(index === headings.length - 1 ? { flexible: true as const } : {}),
    }),
  );
  return renderTable([{ heading: "HOST", text: ({ host }) => host }, ...columns], rows, width);
}

/** Keeps the order of each list: machines with different releases, or with GPUs, have further columns. */
function mergeHeadings(lists: readonly (readonly string[])[]): string[] {
  const merged: string[] = [];
  for (const list of lists) {
    let at = 0;
    for (const heading of list) {
      const known = merged.indexOf(heading);
      if (known < 0) merged.splice(at++, 0, heading);
      else at = known + 1;
    }
  }
  return merged;
}
