import { formatDuration } from "../../jobs/duration.ts";
import { isoTime } from "../../jobs/json.ts";
import type { StoredHistory } from "../../metrics/history/encoding.ts";
import { type Point, resample } from "../../metrics/history/points.ts";
import { ratesOf } from "../../metrics/rates.ts";
import { memoryText, rateText, shareText } from "./amounts.ts";
import type { Pair } from "./table.ts";

const COLUMNS = 60;
const BLOCKS = "▁▂▃▄▅▆▇█";
/** For terminals without UTF-8. */
const DIGITS = "12345678";

/** A line of the chart. What was 0 all the time, or never known, has none. */
interface Series {
  label: string;
  valueAt(point: Point): number | null;
  text(value: number): string;
}

const rates = ({ counts, startMs, endMs }: Point) => ratesOf(counts, endMs - startMs);

function perSecond({ counts, startMs, endMs }: Point, name: keyof Point["counts"]): number | null {
  const count = counts[name];
  return count === null ? null : (1000 * count) / (endMs - startMs);
}

const SERIES: Series[] = [
  {
    label: "cpu over time",
    valueAt: (point) => rates(point).cpuPercent,
    text: (percent) => `${(percent / 100).toFixed(2)} cores`,
  },
  {
    label: "throttled over time",
    valueAt: (point) => rates(point).throttledPercent,
    text: shareText,
  },
  {
    label: "memory over time",
    valueAt: ({ gauges }) => gauges.memoryBytes?.max ?? null,
    text: memoryText,
  },
  { label: "read over time", valueAt: (point) => rates(point).readBytesPerSecond, text: rateText },
  { label: "written over time", valueAt: (point) => rates(point).writeBytesPerSecond, text: rateText },
  { label: "sent over time", valueAt: (point) => perSecond(point, "tcpSentBytes"), text: rateText },
  { label: "received over time", valueAt: (point) => perSecond(point, "tcpReceivedBytes"), text: rateText },
  {
    label: "speed over time",
    // Media time per time, both in ms.
    valueAt: ({ counts, startMs, endMs }) =>
      counts.mediaMsec === null ? null : counts.mediaMsec / (endMs - startMs),
    text: (speed) => `${speed.toFixed(2)}x`,
  },
  {
    label: "backlog over time",
    valueAt: ({ gauges }) => gauges.sendBacklogMs?.max ?? null,
    text: (msec) => `${(msec / 1000).toFixed(1)} s`,
  },
  {
    label: "cpu wait over time",
    valueAt: (point) => rates(point).pressure.cpuSomePercent,
    text: shareText,
  },
  {
    label: "mem wait over time",
    valueAt: (point) => rates(point).pressure.memorySomePercent,
    text: shareText,
  },
  {
    label: "io wait over time",
    valueAt: (point) => rates(point).pressure.ioSomePercent,
    text: shareText,
  },
];

/** Returns a line for each amount that the job used: a chart from its least to its greatest value, and these values. */
export function usageCharts(history: StoredHistory | undefined): Pair[] {
  const points = resample(history?.points ?? [], COLUMNS);
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return [];
  const span = formatDuration(last.endMs - first.startMs);
  const lines = SERIES.flatMap(({ label, valueAt, text }): Pair[] => {
    const values = points.map(valueAt);
    const known = values.filter((value) => value !== null);
    const [min, max] = [Math.min(...known), Math.max(...known)];
    if (known.length === 0 || text(max) === text(0)) return [];
    const range = text(min) === text(max) ? text(max) : `${text(min)} to ${text(max)}`;
    return [[label, `${chart(values, max)}  ${range}`]];
  });
  return [["measured for", span], ...lines];
}

/** A column from 0 to `max`; a blank where the value is unknown. */
function chart(values: readonly (number | null)[], max: number): string {
  const levels = isUtf8() ? BLOCKS : DIGITS;
  const columns = values.map((value) =>
    value === null
      ? " "
      : (levels[Math.min(levels.length - 1, Math.floor((value / max) * levels.length))] as string),
  );
  return columns.join("");
}

/** Source: the order of locale(7). */
function isUtf8(): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = process.env;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
}

export function usageHistoryJson(history: StoredHistory | undefined) {
  if (history === undefined) return null;
  const { at, points, pointMs } = history;
  const time = (bootMs: number): string | null => isoTime(at.wallMs - (at.bootMs - bootMs));
  return {
    point_seconds: pointMs / 1000,
    points: points.map(({ startMs, endMs, counts, gauges }) => ({
      start_time: time(startMs),
      end_time: time(endMs),
      cpu_seconds: seconds(counts.cpuUsec),
      quota_periods: counts.quotaPeriods,
      throttled_periods: counts.throttledPeriods,
      io_read_bytes: counts.ioReadBytes,
      io_write_bytes: counts.ioWriteBytes,
      cpu_pressure_seconds: seconds(counts.cpuPressureUsec),
      memory_pressure_seconds: seconds(counts.memoryPressureUsec),
      memory_full_pressure_seconds: seconds(counts.memoryFullPressureUsec),
      io_pressure_seconds: seconds(counts.ioPressureUsec),
      io_full_pressure_seconds: seconds(counts.ioFullPressureUsec),
      memory_min_bytes: gauges.memoryBytes?.min ?? null,
      memory_max_bytes: gauges.memoryBytes?.max ?? null,
      process_count_min: gauges.processCount?.min ?? null,
      process_count_max: gauges.processCount?.max ?? null,
      tcp_sent_bytes: counts.tcpSentBytes,
      tcp_received_bytes: counts.tcpReceivedBytes,
      media_seconds: thousandths(counts.mediaMsec),
      speed_min: thousandths(gauges.speedPermille?.min),
      speed_max: thousandths(gauges.speedPermille?.max),
      send_backlog_min_seconds: thousandths(gauges.sendBacklogMs?.min),
      send_backlog_max_seconds: thousandths(gauges.sendBacklogMs?.max),
    })),
  };
}

/** µs are kept: sums of points stay exact. */
function seconds(usec: number | null): number | null {
  return usec === null ? null : usec / 1e6;
}

function thousandths(value: number | null | undefined): number | null {
  return value === null || value === undefined ? null : value / 1000;
}
