import { shortBytes } from "./amounts.ts";
import { type Cell, cellSpans, lineOf, type Span } from "./cells.ts";
import { bar } from "./charts.ts";
import type { ScreenHost } from "./screenData.ts";
import { type Style, symbols } from "./style.ts";

/** The lines for machines, of which a screen needs some for the jobs. */
const [MIN_LINES, MAX_LINES] = [2, 8];
const BAR_WIDTH = 10;
const [NARROW_NAME, MAX_NAME] = [16, 24];
const WIDE_COLUMNS = 100;

/**
 * Returns a line for each machine that `--on` names. Where there are too many, those that do not answer come first, then the
 * busiest ones, and the last line counts the others.
 */
export function hostLines(
  hosts: readonly ScreenHost[],
  { columns, maxLines, style }: { columns: number; maxLines: number; style: Style },
): string[] {
  const isWhole = !Number.isFinite(maxLines);
  const most = isWhole ? hosts.length : Math.max(MIN_LINES, Math.min(maxLines, MAX_LINES));
  const isCut = hosts.length > most;
  const shown = isCut ? hosts.toSorted(byTrouble).slice(0, most - 1) : hosts;
  const longest = Math.max(...shown.map(({ name }) => Bun.stringWidth(name)));
  const width = Math.min(longest, columns >= WIDE_COLUMNS ? MAX_NAME : NARROW_NAME);
  const lines = shown.map((host) => {
    const rest = host.trouble === null ? readingSpans(host, columns, style) : troubleSpans(host, style);
    return lineOf(style, columns, [...cellSpans([{ text: host.name, width }]), "  ", ...rest]);
  });
  return isCut ? [...lines, lineOf(style, columns, [[othersText(hosts, shown), "dim"]])] : lines;
}

function byTrouble(a: ScreenHost, b: ScreenHost): number {
  const rank = ({ trouble }: ScreenHost) => (trouble === null ? 1 : 0);
  return rank(a) - rank(b) || (b.busyPercent ?? -1) - (a.busyPercent ?? -1);
}

function othersText(hosts: readonly ScreenHost[], shown: readonly ScreenHost[]): string {
  const others = hosts.filter((host) => !shown.includes(host));
  const silent = others.filter(({ trouble }) => trouble !== null).length;
  return `and ${others.length} more${silent === 0 ? "" : `, of which ${silent} do not answer`}`;
}

function troubleSpans({ trouble, isConnecting, jobs }: ScreenHost, style: Style): Span[] {
  if (isConnecting) return [[trouble ?? "", "dim"]];
  const before = jobs === 0 ? "" : `; it had ${jobsText(jobs)}`;
  return [[`${symbols(style).hindered} ${trouble}${before}`, "yellow"]];
}

function readingSpans({ machine, busyPercent, jobs }: ScreenHost, columns: number, style: Style): Span[] {
  const { dot, none } = symbols(style);
  const busy = busyPercent === null ? none : `${busyPercent.toFixed(0)} %`;
  const waiting = (percent: number | null | undefined): Cell[] =>
    columns < WIDE_COLUMNS
      ? []
      : [{ text: typeof percent === "number" ? `${dot} waiting ${percent.toFixed(0)} %` : "", width: 15 }];
  const [used, total] = [machine?.memoryUsedBytes, machine?.memoryTotalBytes].map((bytes) =>
    shortBytes(bytes ?? null, none),
  );
  return cellSpans([
    { text: "CPU", width: 3, color: "bold" },
    { text: bar(style, (busyPercent ?? 0) / 100, BAR_WIDTH), width: BAR_WIDTH, color: "cyan" },
    { text: `${busy} of ${machine?.cpuCount ?? none}`, width: 11, right: true },
    ...waiting(machine?.cpuWaitPercent),
    { text: " MEM", width: 4, color: "bold" },
    { text: `${used}/${total}`, width: 11 },
    ...waiting(machine?.memoryWaitPercent),
    { text: jobsText(jobs), width: 9, right: true },
  ]);
}

function jobsText(jobs: number): string {
  return `${jobs} ${jobs === 1 ? "job" : "jobs"}`;
}
