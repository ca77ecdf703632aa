import { summaryLine } from "../../jobs/summary.ts";
import { logLineJson } from "../../json/logLine.ts";
import type { LogEntry } from "../../ledger/reader.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { formatTimeOfDay } from "./times.ts";

/** `event_source_changed` */
const KIND_WIDTH = 20;

/**
 * Returns the line of an event: its time, kind and job, `-` where it has none, and its detail as `name=value`.
 * `2026-11-26T22:33:52.123+01:00  started               transcode-001  mode=run pid=4026 limits="cpu.max applied"`
 */
export function logLineText(entry: LogEntry, zone: "local" | "utc"): string {
  const { kind, job_id: job, detail } = logLineJson(entry);
  // One word, so that the columns of a line can be counted.
  const time = formatTimeOfDay(entry.atMs, zone, 3).replace(" ", "T");
  const columns = [time, kind.padEnd(KIND_WIDTH), job ?? "-", detailText(entry, detail)];
  return oneLine(columns.join("  ").trimEnd());
}

function detailText(entry: LogEntry, detail: unknown): string {
  // The words that operators know from the line of the job's end.
  if (entry.kind === "ended") return summaryLine(entry.job, entry.result).split(" | ").slice(1).join(" ");
  if (entry.kind === "started") {
    const { mode, process, outcomes } = entry.job;
    const limits = outcomes.map(({ limit, of, outcome }) => `${of ? `${of}'s ` : ""}${limit} ${outcome}`);
    return pairsText({ mode, pid: process?.pid, ...(entry.hasChanged || !limits.length ? {} : { limits }) });
  }
  return anyDetailText(detail);
}

/** Returns the detail of an event as `name=value`, without what is empty. */
export function anyDetailText(detail: unknown): string {
  return typeof detail === "object" && detail !== null ? pairsText(detail) : JSON.stringify(detail ?? null);
}

function pairsText(detail: object): string {
  const pairs = Object.entries(detail).filter(
    ([, value]) => value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return pairs.map(([name, value]) => `${name}=${valueText(value)}`).join(" ");
}

function valueText(value: unknown): string {
  const words = Array.isArray(value) && value.every((each) => typeof each !== "object");
  const text = words ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
