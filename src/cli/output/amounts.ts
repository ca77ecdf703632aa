import { scaled } from "../../limits/scaled.ts";

/** Texts of measured amounts, in three significant digits. `null` is unknown. */

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Returns `62.1 MiB`, or `-`. */
export function memoryText(bytes: number | null): string {
  return bytes === null ? "-" : scaled(bytes, 1024, BINARY);
}

/** Returns `1.25 MB/s`, or `-`. */
export function rateText(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? "-" : `${scaled(bytesPerSecond, 1000, DECIMAL)}/s`;
}

/** Returns `152.3`, or `-`. */
export function percentText(percent: number | null): string {
  return percent === null ? "-" : percent.toFixed(1);
}

/** Returns `0.40` cores, or `-`. */
export function coresText(cores: number | null): string {
  return cores === null ? "-" : cores.toFixed(2);
}

/** Returns a part of a whole: `90 %`, or `-`. */
export function shareText(percent: number | null): string {
  return percent === null ? "-" : `${percent.toFixed(0)} %`;
}
