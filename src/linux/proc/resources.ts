import { digitsAt } from "../../sys/digits.ts";
import { type Host, readProcFile, readProcStart } from "../host.ts";
import { PAGE_BYTES } from "../memory.ts";
import { bootMsOf } from "./stat.ts";
import { listThreads, visible } from "./table.ts";

/** CPU time is counted in clock ticks of 10 ms there: USER_HZ is 100 on all supported architectures. */
const USEC_PER_TICK = 10_000;

/** The resources that one process has used. */
export interface ProcessUse {
  /** Names the process as long as the machine runs: a pid can be reused. */
  process: string;
  /** CLOCK_BOOTTIME at its start. */
  startBootMs: number;
  cpuUsec: number;
  /** Bytes that it caused to be read from disks. `null`: this user may not read it. */
  ioReadBytes: number | null;
  ioWriteBytes: number | null;
  /** The time that each of its threads could run and waited for a CPU, by thread id. */
  waitedUsec: ReadonlyMap<number, number>;
}

/**
 * Reads the resources of a process with all its threads. CPU time and bytes are with those of ended threads.
 * Source: proc_pid_stat(5), proc_pid_io(5), Documentation/scheduler/sched-stats.rst.
 */
export function readProcessUse(host: Host, pid: number): ProcessUse | "gone" {
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
    ...readIo(host, pid),
    waitedUsec: readWaited(host, pid),
  };
}

// rchar: 4292     ← with what came from the page cache
// read_bytes: 40960
// write_bytes: 0
function readIo(host: Host, pid: number): Pick<ProcessUse, "ioReadBytes" | "ioWriteBytes"> {
  const text = visible(() => readProcFile(host, `${pid}/io`)) ?? "";
  const [ioReadBytes, ioWriteBytes] = [/^read_bytes: (\d+)$/m, /^write_bytes: (\d+)$/m].map((line) => {
    const bytes = text.match(line)?.[1];
    return bytes === undefined ? null : Number(bytes);
  }) as [number | null, number | null];
  return { ioReadBytes, ioWriteBytes };
}

// 3829283 129838 44     ← ns on a CPU, ns that it waited for one, the number of times that it got one
function readWaited(host: Host, pid: number): ReadonlyMap<number, number> {
  const waited = new Map<number, number>();
  for (const tid of listThreads(host, pid)) {
    const text = visible(() => readProcFile(host, `${pid}/task/${tid}/schedstat`)) ?? "";
    const nsec = /^\d+ (\d+) /.exec(text)?.[1];
    if (nsec !== undefined) waited.set(tid, Number(nsec) / 1000);
  }
  return waited;
}

/** Seven numbers of at most 20 digits. */
const MAX_STATM_BYTES = 256;

// 127077 39997 10415 43 0 68735 0     ← total, resident, shared, … in pages: proc_pid_statm(5)
/**
 * Reads the resident memory of a process, whatever cgroup it is charged to. Pages that processes share count in each of
 * them. The file has a fixed length and takes no lock of the process, unlike smaps.
 */
export function readResidentBytes(host: Host, pid: number): number | "gone" {
  const read = readProcStart(host, `${pid}/statm`, MAX_STATM_BYTES);
  return read === "gone" ? "gone" : residentBytesIn(read.text);
}

/** Returns the same from the text of such a file. */
export function residentBytesIn(statm: string): number | "gone" {
  const pages = digitsAt(statm, statm.indexOf(" ") + 1);
  return pages === undefined ? "gone" : pages * PAGE_BYTES;
}
