import { type Host, readProcFile } from "../host.ts";

/** After the first round, the kernel allocates no pids below this (RESERVED_PIDS, kernel/pid.c). */
const RESERVED_PIDS = 300;
/** The smallest pid_max that the kernel accepts. */
const MIN_PID_MAX = 301;

/** The position of the pid allocation of the kernel at one moment, as far as procfs shows it. */
export interface PidCursor {
  /** Processes and threads created since boot, on the whole machine, whatever pid namespace procfs shows. */
  forks: number | undefined;
  /** The pid that was allocated last. */
  lastPid: number | undefined;
}

/** Source: the line "processes" of /proc/stat, and the last field of /proc/loadavg. */
export function readPidCursor(host: Host): PidCursor {
  const read = (path: string, pattern: RegExp): number | undefined => {
    const text = pattern.exec(readProcFile(host, path))?.[1];
    return text === undefined ? undefined : Number(text);
  };
  // processes 6895
  const forks = read("stat", /^processes (\d+)$/m);
  // 0.35 0.20 0.11 2/214 6895
  return { forks, lastPid: read("loadavg", /\s(\d+)\s*$/) };
}

/** Reads one more than the highest pid. Source: /proc/sys/kernel/pid_max. */
export function readPidMax(host: Host): number {
  const pidMax = Number.parseInt(readProcFile(host, "sys/kernel/pid_max"), 10);
  return Number.isInteger(pidMax) ? pidMax : MIN_PID_MAX;
}

/**
 * Returns the pids that the kernel may have allocated between two cursors, or all pids when it may have
 * started a new round. A process with a chosen pid (clone3 set_tid, a write to ns_last_pid) is not covered.
 */
export function allocatedBetween(before: PidCursor, after: PidCursor, pidMax: number) {
  // The kernel skips pids in use without a fork, so a round takes fewer forks than there are pids.
  const mayBeNewRound =
    (after.forks ?? Infinity) - (before.forks ?? -Infinity) >= (pidMax - RESERVED_PIDS) / 2;
  if (mayBeNewRound || before.lastPid === undefined || after.lastPid === undefined)
    return spanOf(0, pidMax, pidMax);
  return spanOf(before.lastPid, after.lastPid, pidMax);
}

export type PidSpan = ReturnType<typeof spanOf>;

/** Returns the pids after `after`, up to and including `upTo`, in the circular order of their allocation. */
function spanOf(after: number, upTo: number, pidMax: number) {
  const distanceTo = (pid: number) => (pid > after ? pid - after : pid - after + pidMax);
  const size = upTo === after ? 0 : distanceTo(upTo);
  return {
    size,
    has: (pid: number) => distanceTo(pid) <= size,
    pids: () => Array.from({ length: size }, (_, index) => (after + 1 + index) % pidMax),
  };
}
