import { formatDuration } from "../../jobs/duration.ts";
import { factsOfEnding, type JobResult } from "../../jobs/model/ending.ts";
import { runtimeOf } from "../../jobs/model/runtime.ts";
import { exitText, markOf } from "../../jobs/summary.ts";
import { memoryText } from "../output/amounts.ts";
import { bitRateText, coresText, shortBytes } from "./amounts.ts";
import { type Cell, cellSpans, lineOf, type Span, widthOf } from "./cells.ts";
import { clockText } from "./eventTexts.ts";
import type { ScreenData, ScreenTenant } from "./screenData.ts";
import { type Style, symbols } from "./style.ts";

/** Returns one line with the totals of tenants, as many of them as fit. */
export function tenantLine(tenants: readonly ScreenTenant[], columns: number, style: Style): string[] {
  if (tenants.length === 0) return [];
  const { none } = symbols(style);
  const spans: Span[] = [[" tenants", "dim"]];
  let shown = 0;
  for (const each of tenants) {
    const quota = each.quotaCores === null ? "" : `/${coresText(each.quotaCores, none)}`;
    const text = [
      `${each.jobs} ${each.jobs === 1 ? "job" : "jobs"}`,
      `${coresText(each.cores, none)}${quota} cores`,
      shortBytes(each.memoryBytes, none),
      bitRateText(each.sentBytesPerSecond, ""),
    ];
    const added: Span[] = ["  ", [each.tenant, "bold"], ` ${text.filter((part) => part !== "").join(" ")} `];
    const rest = tenants.length - shown - 1;
    if (widthOf([...spans, ...added]) + (rest === 0 ? 0 : 12) > columns) break;
    spans.push(...added);
    shown++;
  }
  if (shown < tenants.length) spans.push([`  ${tenants.length - shown} more: t`, "dim"]);
  return [lineOf(style, columns, spans)];
}

/** Returns the table of tenants. */
export function renderTenants({ tenants }: ScreenData, columns: number, style: Style): string[] {
  if (tenants.length === 0) return ["no running job has a tenant"];
  const { none } = symbols(style);
  const width = Math.min(32, Math.max(8, ...tenants.map(({ tenant }) => Bun.stringWidth(tenant))));
  const lineFor = (tenant: string, ...texts: string[]): Span[] => {
    const widths = [5, 8, 15, 19, 10];
    return [
      " ",
      ...cellSpans([
        { text: tenant, width },
        ...texts.map((text, index): Cell => ({ text, width: widths[index] ?? 10, right: true })),
      ]),
    ];
  };
  const heading = lineFor("TENANT", "JOBS", "HINDERED", "CPU / QUOTA", "MEMORY / LIMIT", "OUT");
  return [
    lineOf(style, columns, [
      [heading.map((span) => (typeof span === "string" ? span : span[0])).join(""), "bold"],
    ]),
    ...tenants.map((each) =>
      lineOf(
        style,
        columns,
        lineFor(
          each.tenant,
          String(each.jobs),
          String(each.hindered),
          `${coresText(each.cores, none)} / ${coresText(each.quotaCores, none)}`,
          `${memoryText(each.memoryBytes).replace(/^-$/, none)} / ${each.memoryLimitBytes === null ? none : memoryText(each.memoryLimitBytes)}`,
          bitRateText(each.sentBytesPerSecond, none),
        ),
      ),
    ),
  ];
}

/** Returns a line for each of the latest ended jobs. */
export function endedLines(
  { ended, atMs }: ScreenData,
  count: number,
  columns: number,
  style: Style,
): string[] {
  const shown = ended.slice(0, count);
  const longest = Math.max(0, ...shown.map(({ job }) => Bun.stringWidth(job.jobId)));
  const times = shown.map(({ result }) => clockText(result.endMs, atMs));
  const widest = Math.max(0, ...times.map((time) => time.length));
  return shown.map(({ job, result }, index) => {
    const runtime = runtimeOf(job, result);
    const cells: Cell[] = [
      { text: times[index] ?? "", width: widest, right: true },
      { text: job.jobId, width: Math.min(longest, columns < 100 ? 18 : 32) },
      {
        text: runtime === undefined ? "" : `${markOf(runtime)}${formatDuration(runtime.ms)}`,
        width: 7,
        right: true,
      },
      { text: endText(result), width: 24 },
      slaCell(result),
    ];
    return lineOf(style, columns, [[index === 0 ? " ended " : "       ", "dim"], ...cellSpans(cells)]);
  });
}

/** Returns `exit 0, parent`, `SIGKILL, pidfd`, or why the exit is not known. */
export function endText(result: JobResult): string {
  const { exitEvidence, exitCode } = factsOfEnding(result.ending);
  if (result.ending.kind === "detached") return "detached";
  if (result.ending.kind === "never-started") return "never started";
  if (exitEvidence === null) return "exit unknown";
  return `${exitCode === null ? "" : "exit "}${exitText(result)}, ${exitEvidence}`;
}

const REASON_WIDTH = 60;

function slaCell({ slaCompliant, slaReason }: JobResult): Cell {
  const reason = slaReason.replaceAll("_", " ");
  return slaCompliant
    ? { text: "compliant", width: "compliant".length }
    : { text: `violation: ${reason}`, width: REASON_WIDTH, color: "yellow" };
}

/** Returns the texts of the help screen. */
export function helpLines(style: Style): string[] {
  const { hindered, running, idle, none, times } = symbols(style);
  return [
    "KEYS",
    "  up, down     select a job, or scroll; also j, k, PageUp, PageDown, Home, End",
    "  Enter        show the selected job; c its command line, l its log; Esc returns",
    "  s            sort by cpu, memory, speed, job, tenant; hindered jobs come first",
    "  /            show only jobs whose id, tenant or command contains a text",
    "  t            show the totals of tenants",
    "  p            pause and continue; Ctrl-L draws the screen again",
    "  q, Ctrl-C    quit; no job notices it. Ctrl-Z stops this screen only",
    "",
    "COLUMNS",
    "  HOST         the machine, with --on; a filter finds it too",
    `  ${hindered} ${running} ${idle}        something holds the job back; it runs; it is idle`,
    `  SPEED        media time per time over 15 s; 1${times} is real time; ~ is estimated;`,
    "               ok: its media time is unknown, but it reads all that it receives",
    "  CPU/QUOTA    cores in use, and cores that its CPU quota allows",
    "  2 min        CPU use in the last 2 minutes; the full height is the quota, or",
    "               without one the highest use, one core at least",
    "  THR          part of the quota's periods in which the quota stopped the job",
    "  GPU          share of the part of a GPU that it uses most: compute, enc, dec",
    "  MEM/LIMIT    memory in use, and the tighter one of its limits",
    "  IN, OUT      TCP, in bits per second: 2.4Mb is 2.4 megabits per second;",
    "               OUT over 10 s",
    "  READ, WRITE  disks, in bytes per second",
    "  LEFT         the part that is done, and the remaining time; live: it keeps pace",
    "               with real time; finishing: all input is read; stuck: no progress",
    "               for 2 minutes",
    `  ${none}            unknown, or there is none`,
    "",
    "AROUND THE LIST",
    "  waiting      part of the last 10 s in which a thread of the machine waited for a",
    "               CPU, or for memory",
    "  SLA 24h      compliant part of the jobs with --sla-eligible that ended",
    "  watch        ffrtmp watch measures; without this word, this screen does by itself",
  ];
}
