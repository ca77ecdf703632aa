import { isStdoutTerminal } from "./terminal.ts";

/** `relative`: how long ago. `local`, `utc`: the time of day, with its zone. */
export type TimeStyle = "relative" | "local" | "utc";

export interface TimeFlags {
  time?: "relative" | "absolute";
  utc?: boolean;
}

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

/**
 * Returns how a table shows times. A pipe or a file gets times of day, because its reader may read it at any later time.
 */
export function tableTimes({ time, utc }: TimeFlags, isTerminal = isStdoutTerminal()): TimeStyle {
  if (utc) return "utc";
  if (time !== undefined) return time === "relative" ? "relative" : "local";
  return isTerminal ? "relative" : "local";
}

/**
 * Returns a time as `2026-11-26 14:25:55+01:00`, the form of `date --rfc-3339`. The offset is a number because the names
 * of zones are ambiguous. The local zone is that of TZ or of /etc/localtime.
 */
export function formatTimeOfDay(ms: number, style: "local" | "utc", digits: 0 | 3 = 0): string {
  const offsetMin = style === "utc" ? 0 : -new Date(ms).getTimezoneOffset();
  const text = new Date(ms + offsetMin * 60_000).toISOString().replace("T", " ");
  const zone = style === "utc" ? "Z" : offsetText(offsetMin);
  return `${text.slice(0, digits === 0 ? 19 : 23)}${zone}`;
}

/** Returns `3 min ago`, rounded down. A time in the future, after the clock was set back, is a time of day. */
function formatAge(ms: number, nowMs: number): string {
  if (ms > nowMs) return formatTimeOfDay(ms, "local");
  const seconds = Math.floor((nowMs - ms) / 1000);
  if (seconds < MINUTE_S) return `${seconds} s ago`;
  if (seconds < HOUR_S) return `${Math.floor(seconds / MINUTE_S)} min ago`;
  if (seconds < 2 * DAY_S) return `${Math.floor(seconds / HOUR_S)} h ago`;
  return `${Math.floor(seconds / DAY_S)} days ago`;
}

/**
 * Returns a time for a table. `isLatest`: it happened then or earlier, which is `≤` a time of day and `≥` an age.
 */
export function formatTime(ms: number, style: TimeStyle, nowMs: number, isLatest = false): string {
  const isAge = style === "relative" && ms <= nowMs;
  const text = style === "relative" ? formatAge(ms, nowMs) : formatTimeOfDay(ms, style);
  return isLatest ? `${isAge ? "≥" : "≤"} ${text}` : text;
}

function offsetText(minutes: number): string {
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `${minutes < 0 ? "-" : "+"}${String(hours).padStart(2, "0")}:${String(rest).padStart(2, "0")}`;
}
