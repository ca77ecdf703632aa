import { STEADY_QUEUE_BYTES } from "../../metrics/hindrance/window.ts";
import { coresText, shortBits, shortBytes, shortDuration } from "./amounts.ts";
import { bar } from "./charts.ts";
import {
  coresOf,
  type JobUseJson,
  memoryLimitOf,
  quotaCoresOf,
  type ScreenJob,
  sentBytesPerSecondOf,
} from "./screenData.ts";
import { type Style, symbols } from "./style.ts";

/** A live job below this speed does not keep up. */
const SLOW = 0.97;
/** A job below this use, in cores, whose media time is unknown, is idle. */
const IDLE_CORES = 0.05;
const BAR_WIDTH = 3;

/** Returns `0.63×`, `2.31×~` for an estimate, `ok` for a job that reads what it receives, or the sign for unknown. */
export function speedText(use: JobUseJson, style: Style): string {
  const { times, none } = symbols(style);
  const { media } = use;
  if (media.speed !== null)
    return `${coresText(media.speed, none)}${times}${isSpeedEstimate(use) ? "~" : ""}`;
  return isReading(use) ? "ok" : none;
}

function isSpeedEstimate({ media }: JobUseJson): boolean {
  return media.source === "input" && media.percent_is_estimate;
}

/** Returns whether a job whose media time is not known reads over TCP what it receives. */
function isReading({ media, network }: JobUseJson): boolean {
  if (media.source !== "none" || network === null) return false;
  const received = network.tcp_received_bytes_per_second ?? 0;
  return received > 0 && network.receive_backlog_bytes <= STEADY_QUEUE_BYTES;
}

export function isSlow({ isLive, use }: ScreenJob): boolean {
  return isLive && use.media.speed !== null && use.media.speed < SLOW;
}

export function isStuck({ use }: ScreenJob): boolean {
  return use.media.state === "stuck";
}

export function isIdle({ use }: ScreenJob): boolean {
  const cores = coresOf(use);
  return cores !== null && cores < IDLE_CORES && use.media.source === "none" && !isReading(use);
}

/** Returns `1.46/1.50`. */
export function cpuText({ use, job }: ScreenJob, style: Style): string {
  const { none } = symbols(style);
  const [used, quota] = [coresText(coresOf(use), none), coresText(quotaCoresOf(job), none)];
  return `${used.padStart(4)}/${quota.padStart(4)}`;
}

/** Returns `365M/2.0G`. */
export function memoryText({ use, job }: ScreenJob, style: Style): string {
  const { none } = symbols(style);
  const [used, limit] = [shortBytes(use.memory_bytes, none), shortBytes(memoryLimitOf(job), none)];
  return `${used.padStart(4)}/${limit.padStart(4)}`;
}

/** Returns `2.4Mb`, bits per second in the last 10 s. No connection is the same as unknown: most jobs have none. */
export function sentText(row: ScreenJob, atBootMs: number, style: Style): string {
  const { none } = symbols(style);
  const { network } = row.use;
  if (network === null || network.tcp_connections === 0) return none;
  return bitsText(sentBytesPerSecondOf(row, atBootMs), none);
}

export function receivedText({ network }: JobUseJson, style: Style): string {
  const { none } = symbols(style);
  return network === null || network.tcp_connections === 0
    ? none
    : bitsText(network.tcp_received_bytes_per_second, none);
}

function bitsText(bytesPerSecond: number | null, none: string): string {
  return bytesPerSecond === null ? none : `${shortBits(bytesPerSecond, none)}b`;
}

/** Returns `93%`; the sign for unknown where there is no quota. */
export function throttledText({ use, job }: ScreenJob, style: Style): string {
  return quotaCoresOf(job) === null ? symbols(style).none : percentText(use.throttled_percent, style);
}

export function percentText(percent: number | null, style: Style): string {
  return percent === null ? symbols(style).none : `${percent.toFixed(0)}%`;
}

/** Returns a bar with the remaining time, or a word: `▊    4m`, `live`, `finishing`, `stuck`. */
export function leftText(row: ScreenJob, style: Style): string {
  const { state, percent, percent_is_estimate: isEstimate, remaining_seconds: remaining } = row.use.media;
  if (state === "stuck") return "stuck";
  if (row.isLive) return "live";
  if (state === "finishing") return "finishing";
  if (percent === null) return symbols(style).none;
  const mark = isEstimate ? "~" : "";
  const left = remaining === null ? `${Math.floor(percent)}%` : shortDuration(remaining);
  return `${bar(style, percent / 100, BAR_WIDTH)} ${`${mark}${left}`.padStart(5)}`;
}
