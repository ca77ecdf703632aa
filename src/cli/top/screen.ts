import { cutToWidth } from "../output/table.ts";
import { lineOf, type Span, spread, wrap } from "./cells.ts";
import { jobTitle, renderHeader } from "./header.ts";
import { type ListRow, renderList } from "./jobList.ts";
import { listedJobs } from "./jobOrder.ts";
import { type JobDetail, renderJob } from "./jobView.ts";
import { endedLines, endText, helpLines, renderTenants, tenantLine } from "./otherViews.ts";
import { rowId, type ScreenData, type ScreenJob } from "./screenData.ts";
import type { ScreenState } from "./state.ts";
import { type Style, symbols } from "./style.ts";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A terminal that is smaller shows nothing that helps. */
const MIN_SIZE: Size = { columns: 40, rows: 8 };
/** The ended jobs below the list, where there is room. */
const ENDED_LINES = 3;

export interface Rendered {
  readonly lines: readonly string[];
  /** The jobs in the order on the screen. */
  readonly ids: readonly string[];
  readonly page: number;
  readonly maxScroll: number;
}

/** Returns the lines of the screen, none of them wider, and not more than fit. */
export function renderScreen(
  data: ScreenData,
  state: ScreenState,
  size: Size,
  style: Style,
  detail?: JobDetail,
): Rendered {
  const rows = listedJobs(data, state);
  const ids = rows.map(rowId);
  if (size.columns < MIN_SIZE.columns || size.rows < MIN_SIZE.rows)
    return { lines: tooSmall(size, style), ids, page: 1, maxScroll: 0 };
  const row = isOfJob(state) ? data.jobs.find((each) => rowId(each) === state.selected) : undefined;
  const header =
    row === undefined
      ? renderHeader(data, state, size, style)
      : jobHeader(data, row, state, size.columns, style);
  const page = size.rows - header.length - 2;
  const body = bodyOf({ data, state, rows, row, detail, columns: size.columns, height: page, style });
  const maxScroll = Math.max(0, body.lines.length - page);
  const scroll = Math.min(state.scroll, maxScroll);
  const first = state.view === "jobs" ? 0 : state.view === "log" ? maxScroll - scroll : scroll;
  const shown = body.lines.slice(first, first + page);
  const hidden = maxScroll > 0 ? `lines ${first + 1} to ${first + shown.length} of ${body.lines.length}` : "";
  const notes = [...notesOf(data, state), body.note ?? hidden].filter((note) => note !== "");
  const lines = [
    ...header,
    ruleWith(notes, size.columns, style),
    ...shown,
    ...Array<string>(Math.max(0, page - shown.length)).fill(""),
    footerOf(state, size.columns, style),
  ];
  return { lines: inCharset(lines, style), ids, page: Math.max(1, page - 1), maxScroll };
}

/** Returns the same as text for a pipe or a file: no frame that is filled, and nothing is cut without a width. */
export function renderOnce(data: ScreenData, state: ScreenState, columns: number, style: Style): string[] {
  const rows = listedJobs(data, state);
  const list = renderList(data, rows, undefined, columns, style);
  const lines = [
    ...renderHeader(data, state, { columns, rows: Number.POSITIVE_INFINITY }, style),
    ...(data.sourceNote === null ? [] : [data.sourceNote]),
    "",
    ...(rows.length === 0
      ? [noJobText(state, data)]
      : [list.heading, ...list.rows.flatMap(({ lines: ofRow }) => ofRow)]),
    ...(data.tenants.length === 0 && data.ended.length === 0 ? [] : [""]),
    ...tenantLine(data.tenants, columns, style),
    ...endedLines(data, ENDED_LINES, columns, style),
  ];
  return inCharset(
    lines.map((each) => each.trimEnd()),
    style,
  );
}

/** A text that was cut ends with a character that is not ASCII. */
function inCharset(lines: readonly string[], style: Style): string[] {
  return style.hasUnicode ? [...lines] : lines.map((each) => each.replaceAll("…", symbols(style).cut));
}

function tooSmall({ columns, rows }: Size, style: Style): string[] {
  const text = `${columns}x${rows} is too small for ffrtmp top: it needs ${MIN_SIZE.columns}x${MIN_SIZE.rows}`;
  return wrap(text, Math.max(1, columns))
    .slice(0, rows)
    .map((line) => cutToWidth(line, Math.max(1, columns)))
    .map((line) => (style.hasUnicode ? line : line.replaceAll("…", symbols(style).cut)));
}

function isOfJob({ view, before }: ScreenState): boolean {
  const of = view === "help" ? before : view;
  return view !== "help" && (of === "job" || of === "command" || of === "log");
}

function jobHeader(
  data: ScreenData,
  row: ScreenJob,
  state: ScreenState,
  columns: number,
  style: Style,
): string[] {
  const command = lineOf(style, columns, [row.command.join(" ")]);
  return [jobTitle(data, row, state, columns, style), command];
}

interface BodyOptions {
  data: ScreenData;
  state: ScreenState;
  rows: readonly ScreenJob[];
  /** The job of the view. */
  row: ScreenJob | undefined;
  detail: JobDetail | undefined;
  columns: number;
  height: number;
  style: Style;
}

/** `note`: which part of the list is shown. */
function bodyOf(options: BodyOptions): { lines: string[]; note?: string } {
  const { data, state, rows, row, detail, columns, height, style } = options;
  switch (state.view) {
    case "help":
      return { lines: helpLines(style).map((line) => lineOf(style, columns, [line])) };
    case "tenants":
      return { lines: renderTenants(data, columns, style) };
    case "jobs":
      return rows.length === 0
        ? { lines: emptyList(data, state, columns, height, style) }
        : listLines(options);
    case "job":
      if (row === undefined) return { lines: endedText(data, state, columns, style) };
      return {
        lines: renderJob(data, row, detail ?? { timeline: [] }, { columns, height, style }),
      };
    case "command":
      if (row === undefined) return { lines: endedText(data, state, columns, style) };
      return { lines: [...wrap(row.command.join(" "), columns), "", ...directoryLines(row, columns, style)] };
    case "log":
      if (row === undefined) return { lines: endedText(data, state, columns, style) };
      return { lines: logLines(detail, columns, style) };
  }
}

function directoryLines({ job }: ScreenJob, columns: number, style: Style): string[] {
  return [
    ...(job.cwd === null ? [] : [lineOf(style, columns, [`directory  ${job.cwd}`])]),
    ...(job.commandCut ? ["only its first part is recorded"] : []),
  ];
}

function logLines(detail: JobDetail | undefined, columns: number, style: Style): string[] {
  const log = detail?.log;
  if (log === undefined) return [];
  if ("because" in log) return [lineOf(style, columns, [log.because])];
  return log.lines.map((line) => lineOf(style, columns, [line]));
}

function endedText(
  { ended, jobs }: ScreenData,
  { selected }: ScreenState,
  columns: number,
  style: Style,
): string[] {
  const found = ended.find(({ job }) => job.jobId === selected);
  const [first] = jobs;
  const name = selected ?? (first && rowId(first)) ?? "";
  const end = found === undefined ? "" : `: ${endText(found.result)}`;
  const [, host, jobId] = /^(.+): (.+)$/.exec(name) ?? [];
  const inspect = host === undefined ? `ffrtmp inspect ${name}` : `ssh ${host} ffrtmp inspect ${jobId}`;
  return [
    lineOf(style, columns, [`job ${name} has ended${end}`]),
    lineOf(style, columns, [`all details: ${inspect}`]),
  ];
}

function emptyList(
  data: ScreenData,
  state: ScreenState,
  columns: number,
  height: number,
  style: Style,
): string[] {
  return filled(
    [lineOf(style, columns, [noJobText(state, data)])],
    bottomLines(data, columns, style),
    height,
    columns,
    style,
  );
}

function noJobText({ filter }: ScreenState, { hosts }: ScreenData): string {
  if (filter !== "") return `no job matches ${filter}`;
  if (hosts?.some(({ isConnecting }) => isConnecting)) return "waiting for the machines";
  return hosts?.every(({ trouble }) => trouble !== null) ? "no machine answers" : "no job is running";
}

/** Returns the totals of tenants and the latest ends. */
function bottomLines(data: ScreenData, columns: number, style: Style): string[] {
  return [...tenantLine(data.tenants, columns, style), ...endedLines(data, ENDED_LINES, columns, style)];
}

/** Returns lines with others below them, at the bottom, where both fit. */
function filled(
  top: readonly string[],
  bottom: readonly string[],
  height: number,
  columns: number,
  style: Style,
): string[] {
  const room = height - top.length - bottom.length - 1;
  if (bottom.length === 0 || room < 0) return [...top];
  return [...top, ...Array<string>(room).fill(""), ruleWith([], columns, style), ...bottom];
}

function listLines({ data, state, rows, columns, height, style }: BodyOptions): {
  lines: string[];
  note?: string;
} {
  const selected = rows.find((each) => rowId(each) === state.selected) ?? rows[0];
  const list = renderList(data, rows, selected, columns, style);
  const all = list.rows.flatMap(({ lines }) => lines);
  if (all.length + 1 <= height)
    return {
      lines: filled([list.heading, ...all], bottomLines(data, columns, style), height, columns, style),
    };
  const pages = pagesOf(list.rows, Math.max(2, height - 1));
  const page = pages.find((each) => each.some(({ row }) => row === selected)) ?? [];
  const first = list.rows.indexOf(page[0] as ListRow);
  return {
    lines: [list.heading, ...page.flatMap(({ lines }) => lines)],
    note: `jobs ${first + 1} to ${first + page.length} of ${rows.length}`,
  };
}

/** Splits the list into pages: it does not move while the selection moves on a page, and no row is cut in two. */
function pagesOf(rows: readonly ListRow[], height: number): ListRow[][] {
  const pages: ListRow[][] = [[]];
  let used = 0;
  for (const row of rows) {
    if (used + row.lines.length > height && used > 0) {
      pages.push([]);
      used = 0;
    }
    pages.at(-1)?.push(row);
    used += row.lines.length;
  }
  return pages;
}

/** Returns what is special about the data or the choices of the user. */
function notesOf({ sourceNote }: ScreenData, { order, filter, view, isTyping }: ScreenState): string[] {
  if (view !== "jobs") return [sourceNote ?? "", view === "job" ? "charts: the last 10 min" : ""];
  return [sourceNote ?? "", `sort: ${order}`, filter === "" || isTyping ? "" : `filter: ${filter}`];
}

/** Returns a line across the screen, with texts in it at its right end. */
function ruleWith(notes: readonly string[], columns: number, style: Style): string {
  const { rule, dot } = symbols(style);
  const width = Number.isFinite(columns) ? columns : 80;
  if (notes.length === 0) return lineOf(style, width, [[rule.repeat(width), "dim"]]);
  const text = ` ${notes.join(` ${dot} `)} `;
  const left = Math.max(1, width - Bun.stringWidth(text) - 2);
  return lineOf(style, width, [[rule.repeat(left), "dim"], text, [rule.repeat(2), "dim"]]);
}

function footerOf({ isTyping, filter, view }: ScreenState, columns: number, style: Style): string {
  const { enter, back } = symbols(style);
  if (isTyping) return lineOf(style, columns, [`filter: ${filter}_   Enter keeps it, Esc removes it`]);
  // The last ones are left out first where there is no room.
  const keys: Record<ScreenState["view"], string[]> = {
    jobs: [`${enter} job`, "s sort", "/ filter", "t tenants", "p pause"],
    job: [`${back} back`, "c command line", "l log", "p pause"],
    command: [`${back} back`, "l log"],
    log: [`${back} back`, "c command line", "p pause"],
    tenants: [`${back} back`, "p pause"],
    help: [`${back} back`, "up, down scroll"],
  };
  const last = view === "help" ? ["q quit"] : ["? help", "q quit"];
  const shown = keys[view];
  const text = () => ` ${[...shown, ...last].join("  ")}`;
  while (shown.length > 1 && text().length > columns) shown.pop();
  const right: Span[] = view === "jobs" && columns >= 76 ? [["~ estimated", "dim"]] : [];
  return spread(style, columns, [[text(), "dim"]], right);
}
