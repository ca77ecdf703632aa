import { scaled } from "../../limits/scaled.ts";

/** Texts of measured amounts. An amount that is not known is a dash, never 0. */

type Known = number | null | undefined;

export const UNKNOWN = "–";
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];
const BIT_RATE = ["b/s", "kb/s", "Mb/s", "Gb/s"];
const BYTE_RATE = ["B/s", "kB/s", "MB/s", "GB/s"];

const textOf = (value: Known, format: (value: number) => string): string =>
  value === null || value === undefined ? UNKNOWN : format(value);

/** Returns `1.46`. */
export const coresText = (cores: Known): string => textOf(cores, (value) => value.toFixed(2));

/** Returns a quota without digits that it does not need: `1.5`, `2`. */
export const quotaText = (cores: number): string => String(Math.round(cores * 100) / 100);

/** Returns `365 MiB`, in three digits. */
export const memoryText = (bytes: Known): string => textOf(bytes, (value) => scaled(value, 1024, BINARY));

/** Returns a limit without digits that it does not need: `2 GiB`, `1.5 GiB`. */
export const memoryLimitText = (bytes: number): string => short(memoryText(bytes));

/** Returns `4.20 Mb/s`: bits, as streams are measured. */
export const bitRateText = (bytesPerSecond: Known): string =>
  textOf(bytesPerSecond, (value) => scaled(8 * value, 1000, BIT_RATE));

/** Returns `1.25 MB/s`, as disks are measured. */
export const byteRateText = (bytesPerSecond: Known): string =>
  textOf(bytesPerSecond, (value) => scaled(value, 1000, BYTE_RATE));

/** Returns `83 %`. */
export const percentText = (percent: Known, digits = 0): string =>
  textOf(percent, (value) => `${value.toFixed(digits)} %`);

/** Returns `0.63×`. */
export const speedText = (speed: Known): string => textOf(speed, (value) => `${value.toFixed(2)}×`);

/** Returns `3 d 4 h`, `2 h 14 min`, `11 min`, `45 s`. `isExact`: with seconds up to an hour, `11 min 3 s`, and tenths at first. */
export function durationText(seconds: Known, isExact = false): string {
  return textOf(seconds, (value) => {
    const total = Math.max(0, Math.floor(value));
    const [days, hours, minutes, rest] = [
      Math.floor(total / 86_400),
      Math.floor(total / 3600) % 24,
      Math.floor(total / 60) % 60,
      total % 60,
    ];
    if (days > 0) return `${days} d ${hours} h`;
    if (hours > 0) return `${hours} h ${minutes} min`;
    if (isExact && value < 10) return `${Math.max(0, value).toFixed(1)} s`;
    if (minutes === 0) return `${rest} s`;
    return isExact ? `${minutes} min ${rest} s` : `${minutes} min`;
  });
}

/** Returns the local time of day, with the date where it is not that of `now`. */
export function timeText(time: string | null | undefined, now = new Date()): string {
  if (!time) return UNKNOWN;
  const at = new Date(time);
  const day = dayOf(at);
  return `${day === dayOf(now) ? "" : `${day} `}${clockText(at)}`;
}

/** Returns `14:02:11`, by the clock of the browser's time zone. */
export function clockText(at: Date, hasSeconds = true): string {
  const parts = [at.getHours(), at.getMinutes(), ...(hasSeconds ? [at.getSeconds()] : [])];
  return parts.map(twoDigits).join(":");
}

/** Removes zeros at the end of a number: `2.00 GiB` becomes `2 GiB`, `0.50` becomes `0.5`. */
export const short = (text: string): string => text.replace(/(\.\d*?)0+(?!\d)/, "$1").replace(/\.(?!\d)/, "");

function dayOf(at: Date): string {
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-");
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
