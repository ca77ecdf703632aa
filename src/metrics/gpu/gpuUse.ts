import type { DeviceReading, ProcessUse } from "../../sys/nvml.ts";

/**
 * The use of all NVIDIA devices of the machine by one job. `null` is unknown. Percentages are shares of one device, so
 * that a job on two devices can have 200, as a job on two cores can.
 */
export interface JobGpu {
  /** Device memory of all its processes. */
  readonly memoryBytes: number | null;
  /** Streaming multiprocessors. */
  readonly smPercent: number | null;
  readonly encoderPercent: number | null;
  readonly decoderPercent: number | null;
  readonly encoderSessions: number;
}

/** Returns what these processes use; `undefined` where the driver knows none of them. */
export function gpuOf(readings: readonly DeviceReading[], pids: readonly number[]): JobGpu | undefined {
  if (readings.length === 0) return undefined;
  const own = new Set(pids);
  const uses = readings.flatMap(({ processes }) => processes).filter(({ pid }) => own.has(pid));
  if (uses.length === 0) return undefined;
  return {
    memoryBytes: sumOf(uses, "memoryBytes"),
    smPercent: sumOf(uses, "smPercent"),
    encoderPercent: sumOf(uses, "encoderPercent"),
    decoderPercent: sumOf(uses, "decoderPercent"),
    encoderSessions: sumOf(uses, "encoderSessions") ?? 0,
  };
}

/** Returns `null` where no entry has the field: the driver reports no use of a process that was idle. */
function sumOf(uses: readonly ProcessUse[], field: Exclude<keyof ProcessUse, "pid">): number | null {
  const known = uses.flatMap((use) => use[field] ?? []);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value);
}
