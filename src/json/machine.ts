import { version } from "../../package.json";
import type { MachinePressure, MachineReading } from "../metrics/machine.ts";
import type { MachineJson } from "./machineSchema.ts";
import { rounded } from "./rounding.ts";

export interface MachineParts {
  readonly machine: MachineReading;
  readonly pressure: MachinePressure;
  /** The sum over all CPUs. `null`: unknown. */
  readonly busyPercent: number | null;
}

export function machineJson({ machine, pressure, busyPercent }: MachineParts): MachineJson {
  const { cpuCount, memoryTotalBytes, memoryUsedBytes } = machine;
  const isKnown = memoryTotalBytes !== null && memoryUsedBytes !== null;
  return {
    cpu_count: cpuCount,
    cpu_busy_percent: rounded(busyPercent),
    cpu_pressure_percent: pressure.cpuSomePercent,
    memory_pressure_percent: pressure.memorySomePercent,
    memory_full_pressure_percent: pressure.memoryFullPercent,
    io_pressure_percent: pressure.ioSomePercent,
    io_full_pressure_percent: pressure.ioFullPercent,
    memory_total_bytes: memoryTotalBytes,
    memory_available_bytes: isKnown ? memoryTotalBytes - memoryUsedBytes : null,
  };
}

export function machineUseJson(parts: MachineParts & { hostname: string; jobs: number }) {
  return {
    kind: "machine" as const,
    hostname: parts.hostname,
    ffrtmp_version: version,
    job_count: parts.jobs,
    ...machineJson(parts),
  };
}
