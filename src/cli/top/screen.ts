import { formatDuration } from "../../jobs/duration.ts";
import type { JobResult } from "../../jobs/model/ending.ts";
import { outcomeOf } from "../../jobs/model/outcome.ts";
import { exitText } from "../../jobs/summary.ts";
import type { TenantTotal } from "../../metrics/tenants.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { memoryText, percentText, rateText, shareText } from "../output/amounts.ts";
import { limitsText } from "../output/limitText.ts";
import { cutToWidth } from "../output/table.ts";
import { historyIn, type JobRow, type ScreenData } from "./screenData.ts";
import type { ScreenState } from "./state.ts";
import { bar, paint, type Style, sparkline, symbols } from "./style.ts";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A cell of a line: its text, its width, and whether it is aligned to the right. */
type Cell = readonly [text: string, width: number, right?: "right" | undefined];

/** The lines at the top and at the bottom of each view. */
const FRAME_LINES = 5;
/** The ended jobs below the list, where there is room. */
const ENDED_LINES = 3;

/** Returns the rows in the order and with the filter of the state. */
export function listedRows(data: ScreenData, { order, filter }: ScreenState): JobRow[] {
  const wanted = filter.toLowerCase();
  const rows = data.rows.filter(({ job, command }) =>
    [job.jobId, job.tenant ?? "", command].some((text) => text.toLowerCase().includes(wanted)),
  );
  const byId = (a: JobRow, b: JobRow) => a.job.jobId.localeCompare(b.job.jobId);
  const amount = { cpu: (row: JobRow) => row.cores, memory: ({ sample }: JobRow) => sample.memory.bytes };
  return rows.sort((a, b) => {
    // A job that is held back is what the operator looks for.
    const hindered = Number(b.hindrance !== null) - Number(a.hindrance !== null);
    if (hindered !== 0) return hindered;
    if (order === "job") return byId(a, b);
    if (order === "tenant") return (a.job.tenant ?? "").localeCompare(b.job.tenant ?? "") || byId(a, b);
    return (amount[order](b) ?? -1) - (amount[order](a) ?? -1) || byId(a, b);
  });
}

/** Returns how many lines of jobs a screen has. */
export function pageOf({ rows }: Size): number {
  return Math.max(1, rows - FRAME_LINES);
}

/** Returns the lines of the screen, none of them wider, and not more than fit. */
export function renderScreen(data: ScreenData, state: ScreenState, size: Size, style: Style): string[] {
  const body = bodyOf(data, state, size, style);
  const height = Math.max(1, size.rows - FRAME_LINES);
  // Lines with colors were cut before they got them.
  const fitting = body.map((each) => (each.includes("\u001b") ? each : cutToWidth(each, size.columns)));
  const shown = [...fitting.slice(0, height), ...Array(Math.max(0, height - body.length)).fill("")];
  const rule = paint(style, "dim", symbols(style).rule.repeat(size.columns));
  const lines = [...headerOf(data, state, size, style), rule, ...shown, rule, footerOf(state, size, style)];
  return inCharset(lines.slice(0, size.rows), style);
}

/** A text that was cut ends with a character that is not ASCII. */
function inCharset(lines: readonly string[], style: Style): string[] {
  return style.hasUnicode ? [...lines] : lines.map((each) => each.replaceAll("…", symbols(style).cut));
}

/** Returns the same as text for a pipe or a file: no frame that is filled, and nothing is cut. */
export function renderOnce(data: ScreenData, state: ScreenState, columns: number, style: Style): string[] {
  const size = { columns, rows: Number.POSITIVE_INFINITY };
  const rows = listedRows(data, state);
  const lines = [
    ...headerOf(data, state, size, style),
    ...jobLines(rows, null, size, style),
    ...(data.ended.length === 0 ? [] : ["", ...endedLines(data, ENDED_LINES, size, style)]),
  ];
  return inCharset(
    lines.map((each) => each.trimEnd()),
    style,
  );
}

function bodyOf(data: ScreenData, state: ScreenState, size: Size, style: Style): string[] {
  const rows = listedRows(data, state);
  const selected = rows.find(({ job }) => job.jobId === state.selected) ?? rows[0];
  switch (state.view) {
    case "help":
      return HELP;
    case "tenants":
      return tenantLines(data.tenants, size, style);
    case "job":
      return selected === undefined ? ["the job has ended"] : detailLines(selected, size, style);
    case "jobs": {
      if (rows.length === 0)
        return [state.filter === "" ? "no job is running" : `no job matches ${state.filter}`];
      return listLines(data, rows, selected, size, style);
    }
  }
}

function headerOf(data: ScreenData, state: ScreenState, { columns }: Size, style: Style): string[] {
  const { dot } = symbols(style);
  const { machine, rows, busyPercent } = data;
  const hindered = rows.filter(({ hindrance }) => hindrance !== null).length;
  const counted = `${rows.length} ${rows.length === 1 ? "job" : "jobs"}`;
  const about = [counted, ...(hindered === 0 ? [] : [`${hindered} held back`])];
  const left = `ffrtmp top ${dot} ${data.hostname}   ${about.join(` ${dot} `)}`;
  const time = new Date(data.atMs).toTimeString().slice(0, 8);
  const right = state.isPaused ? `paused at ${time}` : `sort: ${state.order}   ${time}`;
  const wait = (percent: number | null) =>
    percent === null ? "" : ` ${dot} waiting ${percent.toFixed(0)} %`;
  const used = `${memoryText(machine.memoryUsedBytes)} of ${memoryText(machine.memoryTotalBytes)}`;
  const cpu = `${shareText(busyPercent)} of ${machine.cpuCount}${wait(machine.cpuWaitPercent)}`;
  const meter = bar(style, (busyPercent ?? 0) / 100, 20);
  const second = `CPU ${meter} ${cpu}   MEM ${used}${wait(machine.memoryWaitPercent)}`;
  return [spread(left, right, columns), cutToWidth(second, columns)];
}

function footerOf({ isTyping, filter, view }: ScreenState, { columns }: Size, style: Style): string {
  if (isTyping) return cutToWidth(`filter: ${filter}_   Enter keeps it, Esc removes it`, columns);
  const keys =
    view === "jobs"
      ? `s sort  / filter  t tenants  Enter job  p pause  ? help  q quit${filter === "" ? "" : `   filter: ${filter}`}`
      : "Esc back  p pause  ? help  q quit";
  return paint(style, "dim", cutToWidth(keys, columns));
}

function listLines(
  data: ScreenData,
  rows: readonly JobRow[],
  selected: JobRow | undefined,
  size: Size,
  style: Style,
): string[] {
  const height = pageOf(size);
  const all = jobLines(rows, selected, size, style);
  const ended = data.ended.length === 0 ? [] : ["", ...endedLines(data, ENDED_LINES, size, style)];
  if (all.length + ended.length <= height)
    return [...all, ...Array(height - all.length - ended.length).fill(""), ...ended];
  // Scrolls by whole pages, so that the list stands still while the selection moves on a page.
  const [heading = "", ...lines] = all;
  const room = Math.max(1, height - 1);
  const first = Math.floor(linesAbove(rows, selected) / room) * room;
  return [heading, ...lines.slice(first, first + room)];
}

/** Returns the number of lines above the one of a job. */
function linesAbove(rows: readonly JobRow[], selected: JobRow | undefined): number {
  const above = rows.slice(0, selected === undefined ? 0 : rows.indexOf(selected));
  return above.reduce((sum, { hindrance }) => sum + (hindrance === null ? 1 : 2), 0);
}

const HISTORY_WIDTH = 10;
const MAX_ID = 28;
/** The two characters before each line: a mark, and the selection where there is no color. */
const MARGIN = 2;
/** From this width on, there is room for what disks read and write. */
const WIDE_COLUMNS = 105;

/** Returns a heading, and one line for each job, two for one that is held back. */
function jobLines(
  rows: readonly JobRow[],
  selected: JobRow | null | undefined,
  size: Size,
  style: Style,
): string[] {
  const { hindered, running, note } = symbols(style);
  const width = Math.max(0, size.columns - MARGIN);
  const columns = columnsFor(rows, size, style);
  const heading = columns.map(({ heading, width, right }): Cell => [heading, width, right]);
  return [
    paint(style, "bold", `${" ".repeat(MARGIN)}${line(heading, width)}`),
    ...rows.flatMap((row) => {
      const mark = row.hindrance === null ? paint(style, "green", running) : paint(style, "yellow", hindered);
      const cells = columns.map(({ text, width, right }): Cell => [text(row), width, right]);
      const shown =
        row === selected ? paint(style, "inverse", line(cells, width).padEnd(width)) : line(cells, width);
      const pointer = row === selected && !style.hasColor ? ">" : " ";
      const first = `${mark}${pointer}${shown}`;
      if (row.hindrance === null) return [first];
      return [first, `  ${paint(style, "yellow", cutToWidth(`${note} ${row.hindrance}`, width))}`];
    }),
  ];
}

interface ListColumn {
  heading: string;
  width: number;
  right?: "right";
  text(row: JobRow): string;
}

/** The columns have fixed widths, so that the list does not move when a value changes. */
function columnsFor(rows: readonly JobRow[], { columns }: Size, style: Style): ListColumn[] {
  const { none } = symbols(style);
  const right = "right" as const;
  const limitText = (bytes: number | null) => (bytes === null ? none : memoryText(bytes));
  const maxOf = ({ quotaCores, history }: JobRow) =>
    quotaCores ?? Math.max(1, ...history.map(({ cores }) => cores ?? 0));
  const measured: ListColumn[] = [
    {
      heading: "CPU / QUOTA",
      width: 13,
      right,
      text: ({ cores, quotaCores }) => `${cores?.toFixed(2) ?? none} / ${quotaCores?.toFixed(2) ?? none}`,
    },
    {
      heading: "2 min",
      width: HISTORY_WIDTH,
      text: (row) => sparkline(style, historyIn(HISTORY_WIDTH, row), maxOf(row)),
    },
    {
      heading: "THROTTLED",
      width: 9,
      right,
      text: ({ quotaCores, sample }) =>
        quotaCores === null ? none : shareText(sample.rates?.throttledPercent ?? null),
    },
    {
      heading: "MEMORY / LIMIT",
      width: 19,
      right,
      text: ({ sample, memoryLimitBytes }) =>
        `${memoryText(sample.memory.bytes)} / ${limitText(memoryLimitBytes)}`,
    },
  ];
  const disks: ListColumn[] = [
    {
      heading: "READ",
      width: 9,
      right,
      text: ({ sample }) => rateText(sample.rates?.readBytesPerSecond ?? null),
    },
    {
      heading: "WRITTEN",
      width: 9,
      right,
      text: ({ sample }) => rateText(sample.rates?.writeBytesPerSecond ?? null),
    },
  ];
  const shown = columns >= WIDE_COLUMNS ? [...measured, ...disks] : measured;
  const taken = shown.reduce((sum, { width }) => sum + width + GAP, MARGIN);
  const longest = Math.max(3, ...rows.map(({ job }) => job.jobId.length));
  const idWidth = Math.max(8, Math.min(longest, MAX_ID, columns - taken));
  const widest = Math.max(0, ...rows.map(({ command }) => Bun.stringWidth(oneLine(command))));
  const left = Math.min(columns - taken - idWidth - GAP, Math.max(MIN_COMMAND, widest));
  return [
    { heading: "JOB", width: idWidth, text: ({ job }) => job.jobId },
    ...shown,
    ...(left < MIN_COMMAND
      ? []
      : [{ heading: "COMMAND", width: left, text: ({ command }: JobRow) => command }]),
  ];
}

/** The space between two columns. */
const GAP = 2;
const MIN_COMMAND = 10;

function endedLines({ ended, atMs }: ScreenData, count: number, { columns }: Size, style: Style): string[] {
  return ended.slice(0, count).map(({ job, result }, index) => {
    const label = index === 0 ? "ended " : "      ";
    const ago = `${formatDuration(Math.max(0, atMs - result.endMs))} ago`;
    const cells: Cell[] = [
      [ago, 11, "right"],
      [job.jobId, columns < WIDE_COLUMNS ? 18 : MAX_ID],
      [outcomeOf(result.ending), 9],
      [`exit ${exitText(result)}`, 12],
      [verdictText(result), 60],
    ];
    return `${paint(style, "dim", label)}${line(cells, Math.max(0, columns - label.length))}`;
  });
}

function verdictText({ slaCompliant, slaReason }: JobResult): string {
  return slaCompliant ? "compliant" : `violation: ${slaReason}`;
}

function tenantLines(tenants: readonly TenantTotal[], { columns }: Size, style: Style): string[] {
  if (tenants.length === 0) return ["no running job has a tenant"];
  const isWide = columns >= WIDE_COLUMNS;
  const cells = (tenant: string, measured: string[], disks: string[]): Cell[] => [
    [tenant, 24],
    ...[...measured, ...(isWide ? disks : [])].map((text): Cell => [text, 11, "right"]),
  ];
  const heading = cells("TENANT", ["JOBS", "CPU %", "MEMORY", "THROTTLED"], ["READ", "WRITTEN"]);
  return [
    paint(style, "bold", line(heading, columns)),
    ...tenants.map(({ tenant, jobs, rates, memoryBytes }) => {
      const cpu = percentText(rates?.cpuPercent ?? null);
      const throttled = shareText(rates?.throttledPercent ?? null);
      const disks = [rates?.readBytesPerSecond, rates?.writeBytesPerSecond].map((rate) =>
        rateText(rate ?? null),
      );
      return line(cells(tenant, [String(jobs), cpu, memoryText(memoryBytes), throttled], disks), columns);
    }),
  ];
}

/** The rows of the chart of CPU use. */
const CHART_LINES = 4;

function detailLines(row: JobRow, { columns }: Size, style: Style): string[] {
  const { job, sample, cores, quotaCores } = row;
  const { rates, memory, processCount } = sample;
  const waits = rates?.pressure;
  const { into, dot, none } = symbols(style);
  const width = Math.max(10, Math.min(60, columns - 8));
  const values = historyIn(width, row);
  const max = quotaCores ?? Math.max(1, ...values.map((value) => value ?? 0));
  const field = (name: string, text: string) =>
    `${paint(style, "bold", name.padEnd(10))} ${cutToWidth(oneLine(text), Math.max(1, columns - 11))}`;
  const limit = row.memoryLimitBytes === null ? "" : ` of ${memoryText(row.memoryLimitBytes)}`;
  const source = memory.source === "rss" ? " resident in its processes" : "";
  const process = job.process === null ? none : String(job.process.pid);
  const about = [`PID ${process}`, job.mode, ...(job.tenant === null ? [] : [`tenant ${job.tenant}`])];
  return [
    cutToWidth(`${into} ${job.jobId}   ${about.join(` ${dot} `)}`, columns),
    cutToWidth(oneLine(row.command), columns),
    ...(row.hindrance === null ? [] : [paint(style, "yellow", cutToWidth(row.hindrance, columns))]),
    "",
    field(
      "CPU",
      `${cores?.toFixed(2) ?? none} of ${quotaCores?.toFixed(2) ?? "any number of"} cores, throttled in ${shareText(rates?.throttledPercent ?? null)} of the periods`,
    ),
    ...chart(style, values, max, width),
    `${" ".repeat(7)}${"2 min".padEnd(width - 3)}now`,
    field("MEMORY", `${memoryText(memory.bytes)}${limit}${source}`),
    field(
      "WAITS",
      `CPU ${shareText(waits?.cpuSomePercent ?? null)}   memory ${shareText(waits?.memorySomePercent ?? null)}   disks ${shareText(waits?.ioSomePercent ?? null)}   of the time`,
    ),
    field(
      "DISKS",
      `read ${rateText(rates?.readBytesPerSecond ?? null)}, written ${rateText(rates?.writeBytesPerSecond ?? null)}`,
    ),
    field("PROCESSES", processCount === null ? none : String(processCount)),
    field("LIMITS", limitsText(job.outcomes)),
    ...job.outcomes.flatMap((outcome) =>
      outcome.because === undefined
        ? []
        : [cutToWidth(`           ${outcome.limit}: ${oneLine(outcome.because)}`, columns)],
    ),
  ];
}

/** Returns the lines of a chart with its scale at the left, the highest values in the first line. */
function chart(style: Style, values: readonly (number | null)[], max: number, width: number): string[] {
  return Array.from({ length: CHART_LINES }, (_, index) => {
    const floor = (max * (CHART_LINES - 1 - index)) / CHART_LINES;
    const step = max / CHART_LINES;
    const part = values.map((value) => (value === null || value <= floor ? null : value - floor));
    const label = index === 0 ? max.toFixed(1) : index === CHART_LINES - 1 ? "0" : "";
    return `${label.padStart(5)}  ${sparkline(style, part, step).padEnd(width)}`;
  });
}

const HELP = [
  "s          sort by cpu, memory, job, tenant; jobs that are held back come first",
  "/          show only jobs whose id, tenant or command contains a text",
  "t          show what tenants use",
  "up, down   select a job; also j and k, PageUp, PageDown, Home, End",
  "Enter      show the selected job, Esc returns",
  "p          pause and continue",
  "q, Ctrl-C  quit; no job notices it",
  "",
  "CPU / QUOTA     cores in use, and cores that the CPU quota allows",
  "2 min           CPU use in the last two minutes, up to the quota, or up to one core or the most used",
  "THROTTLED       part of the quota's periods in which the quota stopped the job",
  "MEMORY / LIMIT  memory in use, and the tighter one of memory.high and memory.max",
  "-               unknown, or there is none",
];

function line(cells: readonly Cell[], width: number): string {
  const texts = cells.map(([text, cell, right]) => {
    const shown = oneLine(text);
    const short = Bun.stringWidth(shown) > cell ? cutToWidth(shown, cell) : shown;
    const pad = " ".repeat(Math.max(0, cell - Bun.stringWidth(short)));
    return right === "right" ? `${pad}${short}` : `${short}${pad}`;
  });
  return cutToWidth(texts.join("  ").trimEnd(), width);
}

function spread(left: string, right: string, columns: number): string {
  const gap = columns - Bun.stringWidth(left) - Bun.stringWidth(right);
  if (!Number.isFinite(gap)) return `${left}   ${right}`;
  return gap < 1 ? cutToWidth(left, columns) : `${left}${" ".repeat(gap)}${right}`;
}
