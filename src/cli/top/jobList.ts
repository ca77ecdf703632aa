import { shortBytes } from "./amounts.ts";
import { type Cell, cellSpans, lineOf, type Span, wrap } from "./cells.ts";
import { sparkline } from "./charts.ts";
import {
  cpuText,
  isIdle,
  isSlow,
  isStuck,
  leftText,
  memoryText,
  percentText,
  receivedText,
  sentText,
  speedText,
  throttledText,
} from "./jobTexts.ts";
import { quotaCoresOf, type ScreenData, type ScreenJob } from "./screenData.ts";
import { type Paint, type Style, symbols } from "./style.ts";

/** A mark with a space at each side. */
const MARGIN = 3;
/** The widths of ids: where the terminal has only the width for the other columns, and elsewhere. */
const [NARROW_ID, MIN_ID, MAX_ID] = [16, 8, 32];
const [NARROW_HOST, MAX_HOST] = [12, 20];
const WIDE_COLUMNS = 100;
const MIN_COMMAND = 14;
const HISTORY_MS = 120_000;
/** The reason why a job is held back is below its id. */
const [REASON_INDENT, MAX_REASON_LINES] = [5, 2];
/** A quota that stops a job in this part of its periods deserves a look. */
const MUCH_THROTTLED_PERCENT = 50;

interface ListColumn {
  readonly heading: string;
  readonly width: number;
  readonly right?: boolean;
  /** The columns with the lowest numbers are shown where there is no room for all. */
  readonly rank: number;
  text(row: ScreenJob): string;
  color?(row: ScreenJob): Paint | undefined;
}

/** A row of the list: one line, and up to two with the reason why the job is held back, or will be. */
export interface ListRow {
  readonly row: ScreenJob;
  readonly lines: readonly string[];
}

/** Returns the heading of the list, and its rows. `selected`: the row to mark. */
export function renderList(
  data: ScreenData,
  rows: readonly ScreenJob[],
  selected: ScreenJob | undefined,
  columns: number,
  style: Style,
): { heading: string; rows: ListRow[] } {
  const shown = columnsFor(data, rows, columns, style);
  const headings = shown.map(({ heading, width, right }): Cell => ({ text: heading, width, right }));
  return {
    heading: lineOf(style, columns, [" ".repeat(MARGIN), [textOf(cellSpans(headings)), "bold"]]),
    rows: rows.map((row) => ({ row, lines: rowLines(row, shown, row === selected, columns, style) })),
  };
}

function textOf(spans: readonly Span[]): string {
  return spans.map((span) => (typeof span === "string" ? span : span[0])).join("");
}

function filledTo(columns: number, text: string): string {
  return text + " ".repeat(Math.max(0, columns - Bun.stringWidth(text)));
}

function rowLines(
  row: ScreenJob,
  shown: readonly ListColumn[],
  isSelected: boolean,
  columns: number,
  style: Style,
): string[] {
  const { hindered, running, idle, note } = symbols(style);
  const cells = shown.map(
    ({ width, right, text, color }): Cell => ({ text: text(row), width, right, color: color?.(row) }),
  );
  // A job that is not live only takes longer.
  const alarm = row.use.hindrance?.live ? "yellow" : undefined;
  const [mark, color] = isStuck(row)
    ? ([hindered, "red"] as const)
    : row.hindrance !== null
      ? ([hindered, alarm] as const)
      : ([isIdle(row) ? idle : running, isIdle(row) ? "dim" : "green"] as const);
  const pointer = isSelected ? ">" : " ";
  const spans: Span[] = [pointer, [mark, color], " ", ...cellSpans(cells)];
  const first = isSelected
    ? lineOf(style, columns, [
        [filledTo(columns, textOf([pointer, mark, " ", ...cellSpans(cells)])), "inverse"],
      ])
    : lineOf(style, columns, spans);
  // What holds a job back now is more than what will.
  const [noted, paint] =
    row.hindrance === null ? ([row.use.cpu_shortfall, "yellow"] as const) : ([row.hindrance, alarm] as const);
  const reason = wrap(noted ?? "", columns - REASON_INDENT).slice(0, noted ? MAX_REASON_LINES : 0);
  return [
    first,
    ...reason.map((text, index) =>
      lineOf(style, columns, [[`   ${index === 0 ? note : " "} ${text}`, paint]]),
    ),
  ];
}

/** The columns have fixed widths, so that the list does not move when a value changes. */
function columnsFor(
  { atBootMs }: ScreenData,
  rows: readonly ScreenJob[],
  columns: number,
  style: Style,
): ListColumn[] {
  const { none } = symbols(style);
  const hasGpu = rows.some(({ use }) => use.gpu !== null);
  const hasTenant = rows.some(({ job }) => job.tenant !== null);
  const isWide = columns >= WIDE_COLUMNS;
  const historyWidth = hasGpu && !isWide ? 5 : 10;
  const hosts = rows.map(({ host }) => host).filter((host) => host !== null);
  const hostWidth = Math.min(
    isWide ? MAX_HOST : NARROW_HOST,
    Math.max(4, ...hosts.map((host) => Bun.stringWidth(host))),
  );
  const hostColumn: ListColumn[] =
    hosts.length === 0
      ? []
      : [{ heading: "HOST", width: hostWidth, rank: 0, text: ({ host }) => host ?? none }];
  const longest = Math.max(MIN_ID, ...rows.map(({ job }) => Bun.stringWidth(job.jobId)));
  const idWidth = Math.min(longest, isWide ? MAX_ID : Math.min(NARROW_ID, Math.max(MIN_ID, columns - 32)));
  const right = true;
  const optional: (ListColumn | false)[] = [
    isWide && hasTenant && { heading: "TENANT", width: 12, rank: 7, text: ({ job }) => job.tenant ?? none },
    {
      heading: "SPEED ",
      width: 6,
      right,
      rank: 0,
      text: ({ use }) => {
        const text = speedText(use, style);
        return text.endsWith("~") ? text : `${text} `;
      },
      color: (row) => (isSlow(row) ? "red" : undefined),
    },
    { heading: "CPU/QUOTA", width: 9, right, rank: 1, text: (row) => cpuText(row, style) },
    {
      heading: "2 min",
      width: historyWidth,
      rank: 5,
      text: ({ track, job }) => {
        const values = track.samples("cores", atBootMs, HISTORY_MS, historyWidth);
        const most = Math.max(1, ...values.map((value) => value ?? 0));
        return sparkline(style, values, quotaCoresOf(job) ?? most);
      },
      color: () => "cyan",
    },
    {
      heading: "THR",
      width: 4,
      right,
      rank: 3,
      text: (row) => throttledText(row, style),
      color: ({ use }) => ((use.throttled_percent ?? 0) >= MUCH_THROTTLED_PERCENT ? "yellow" : undefined),
    },
    hasGpu && {
      heading: "GPU",
      width: 4,
      right,
      rank: 4,
      text: ({ use }) => percentText(mostOf(use.gpu), style),
    },
    { heading: "MEM/LIMIT", width: 9, right, rank: 4, text: (row) => memoryText(row, style) },
    isWide && {
      heading: "IN",
      width: 5,
      right,
      rank: 8,
      text: ({ use }) => receivedText(use, style),
    },
    {
      heading: "OUT",
      width: 5,
      right,
      rank: 6,
      text: (row) => sentText(row, atBootMs, style),
    },
    isWide && {
      heading: "READ",
      width: 5,
      right,
      rank: 10,
      text: ({ use }) => shortBytes(use.io_read_bytes_per_second, none),
    },
    isWide && {
      heading: "WRITE",
      width: 5,
      right,
      rank: 11,
      text: ({ use }) => shortBytes(use.io_write_bytes_per_second, none),
    },
    {
      heading: "LEFT",
      width: 9,
      right,
      rank: 2,
      text: (row) => leftText(row, style),
      color: (row) => (isStuck(row) ? "red" : undefined),
    },
  ];
  let room = columns - MARGIN - idWidth - (hostColumn.length === 0 ? 0 : hostWidth + 1);
  const fitting = new Set<ListColumn>();
  const present = optional.filter((column) => column !== false);
  for (const column of present.toSorted((a, b) => a.rank - b.rank)) {
    if (column.width + 1 > room) break;
    room -= column.width + 1;
    fitting.add(column);
  }
  const hasCommand = isWide && room > MIN_COMMAND;
  // The remaining space separates the ids from the numbers.
  const gap = hasCommand ? 0 : Math.max(0, Math.min(room, 2));
  return [
    ...hostColumn,
    { heading: "JOB", width: idWidth + gap, rank: 0, text: ({ job }) => job.jobId },
    ...present.filter((column) => fitting.has(column)),
    ...(hasCommand
      ? [
          {
            heading: "COMMAND",
            width: Number.isFinite(room)
              ? room - 1
              : Math.max(7, ...rows.map(({ command }) => Bun.stringWidth(command.join(" ")))),
            rank: 20,
            text: ({ command }: ScreenJob) => command.join(" "),
          },
        ]
      : []),
  ];
}

/** Returns the share of the part of a device that a job uses most. */
function mostOf(gpu: ScreenJob["use"]["gpu"]): number | null {
  const shares = [gpu?.sm_percent, gpu?.encoder_percent, gpu?.decoder_percent];
  const known = shares.filter((share) => share !== null && share !== undefined);
  return known.length === 0 ? null : Math.max(...known);
}
