import { type Host, readProcFile } from "../host.ts";
import { PAGE_BYTES } from "../memory.ts";
import { bootMsOf } from "./stat.ts";

/** CPU time is counted in clock ticks of 10 ms there: USER_HZ is 100 on all supported architectures. */
const USEC_PER_TICK = 10_000;

/** The CPU time of one process. */
export interface ProcessCpu {
  /** Names the process as long as the machine runs: a pid can be reused. */
  process: string;
  /** CLOCK_BOOTTIME at its start. */
  startBootMs: number;
  cpuUsec: number;
}

/** Reads the CPU time of a process with all its threads, the ended ones included. Source: proc_pid_stat(5). */
export function readProcessCpu(host: Host, pid: number): ProcessCpu | "gone" {
  const text = readProcFile(host, `${pid}/stat`);
  if (text === "gone") return "gone";
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]);
  const [userTicks, systemTicks, startTicks] = [14, 15, 22].map(field) as [number, number, number];
  if (!Number.isSafeInteger(userTicks + systemTicks + startTicks)) return "gone";
  return {
    process: `${pid}:${startTicks}`,
    startBootMs: bootMsOf(startTicks),
    cpuUsec: (userTicks + systemTicks) * USEC_PER_TICK,
  };
}

// 127077 39997 10415 43 0 68735 0     ← total, resident, shared, … in pages: proc_pid_statm(5)
/**
 * Reads the resident memory of a process, whatever cgroup it is charged to. Pages that processes share count in each of
 * them. The file has a fixed length and takes no lock of the process, unlike smaps.
 */
export function readResidentBytes(host: Host, pid: number): number | "gone" {
  const text = readProcFile(host, `${pid}/statm`);
  const pages = text === "gone" ? undefined : /^\d+ (\d+) /.exec(text)?.[1];
  return pages === undefined ? "gone" : Number(pages) * PAGE_BYTES;
}
