import { ValueFault } from "../../limits/units.ts";

export const TIME_POINT =
  'a time, such as "2026-11-26 14:00", 2026-11-26, 14:00, today, yesterday or 2026-11-26T14:00Z, or how long ago: 90m, 2h, 7d';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const UNITS: [name: RegExp, ms: number][] = [
  [/^(s|secs?|seconds?)$/, 1000],
  [/^(m|mins?|minutes?)$/, 60_000],
  [/^(h|hours?)$/, HOUR_MS],
  [/^(d|days?)$/, DAY_MS],
  [/^(w|weeks?)$/, 7 * DAY_MS],
];
const AGE_PART = /(\d+(?:\.\d+)?)\s*([a-z]+)\s*/g;
const AGE = /^-?(?:\d+(?:\.\d+)?\s*[a-z]+\s*)+?(?:ago)?$/;
const TIME = String.raw`(\d\d?):(\d\d)(?::(\d\d)(\.\d+)?)?`;
const CLOCK_TIME = new RegExp(`^${TIME}$`);
const DATE_TIME = new RegExp(
  String.raw`^(\d{4})-(\d\d)-(\d\d)(?:[ T]${TIME}\s*(Z|UTC|[+-]\d\d:?\d\d)?)?$`,
  "i",
);

/** The end of a period that a time is. An hour that the local clock shows twice is inside of the period twice. */
type Edge = "start" | "end";

/** Returns the time that an operator names, in ms. Without a zone it is local. Throws ValueFault. */
export function parseTimePoint(text: string, nowMs: number, edge: Edge): number {
  const words = text.trim().toLowerCase();
  if (words === "now") return nowMs;
  if (words === "today") return midnight(nowMs, 0);
  if (/^@\d{1,12}$/.test(words)) return Number(words.slice(1)) * 1000;
  if (words === "yesterday") return midnight(nowMs, -1);
  if (AGE.test(words)) return Math.max(0, nowMs - ageOf(words));
  const clock = CLOCK_TIME.exec(words);
  if (clock) return lastTimeOfDay(clock.slice(1), nowMs, edge);
  const match = DATE_TIME.exec(text.trim());
  if (!match) throw new ValueFault("is not a time");
  const [, year = "", month = "", day = "", ...time] = match;
  const date: [number, number, number] = [Number(year), Number(month) - 1, Number(day)];
  const check = new Date(Date.UTC(...date));
  if (check.getUTCMonth() !== date[1] || check.getUTCDate() !== date[2])
    throw new ValueFault("is a date that no calendar has");
  const zone = time[4]?.toUpperCase();
  const dayTime = timeOfDay(time);
  if (zone === undefined) return localTime(date, dayTime, edge);
  return Date.UTC(...date, ...dayTime) - offsetOf(zone) * 60_000;
}

function ageOf(words: string): number {
  let ms = 0;
  for (const [, number, name = ""] of words.replace(/\s*ago$/, "").matchAll(AGE_PART)) {
    const unit = UNITS.find(([pattern]) => pattern.test(name));
    if (!unit) throw new ValueFault(`has a unit that is not known, ${name}`);
    ms += Number(number) * unit[1];
  }
  return ms;
}

type DayTime = [hours: number, minutes: number, seconds: number, ms: number];

function timeOfDay([hours = "0", minutes = "0", seconds = "0", fraction = "0"]: (
  | string
  | undefined
)[]): DayTime {
  const time: DayTime = [
    Number(hours),
    Number(minutes),
    Number(seconds),
    Math.round(Number(`0${fraction}`) * 1000),
  ];
  if (time[0] > 23 || time[1] > 59 || time[2] > 59)
    throw new ValueFault("is a time of day that no clock shows");
  return time;
}

/**
 * Returns the time at which the local clock showed this. It shows an hour in autumn twice: the period includes both. An hour
 * in spring that it skips counts on from the hour before: 02:30 is 03:30.
 */
function localTime([year, month, day]: [number, number, number], time: DayTime, edge: Edge): number {
  const first = new Date(year, month, day, ...time).getTime();
  if (edge === "start") return first;
  const shown = (ms: number): string => new Date(ms).toString().slice(0, 24);
  // Lord Howe Island sets its clocks by 30 minutes.
  const second = [HOUR_MS, HOUR_MS / 2].map((ms) => first + ms).find((ms) => shown(ms) === shown(first));
  return second ?? first;
}

/** Returns the last time at which the local clock showed this time of day. */
function lastTimeOfDay(parts: (string | undefined)[], nowMs: number, edge: Edge): number {
  const time = timeOfDay(parts);
  const now = new Date(nowMs);
  const on = (day: number, which: Edge): number =>
    localTime([now.getFullYear(), now.getMonth(), day], time, which);
  const today = [on(now.getDate(), edge), on(now.getDate(), "start")].find((ms) => ms <= nowMs);
  return today ?? on(now.getDate() - 1, edge);
}

function midnight(nowMs: number, days: number): number {
  const now = new Date(nowMs);
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days).getTime();
}

/** Returns the offset of `+01:00`, `-0530` or `Z`, in minutes. */
function offsetOf(zone: string): number {
  if (zone === "Z" || zone === "UTC") return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(-2))];
  if (hours > 14 || minutes > 59) throw new ValueFault(`has a time zone that no place has, ${zone}`);
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
}
