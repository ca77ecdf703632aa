import type { StoredHistory } from "../metrics/history/encoding.ts";

export function usageHistoryJson(history: StoredHistory | undefined) {
  if (history === undefined) return null;
  const { at, points, pointMs } = history;
  const time = (bootMs: number): string => new Date(at.wallMs - (at.bootMs - bootMs)).toISOString();
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
