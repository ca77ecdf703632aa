import { type Host, readProcFile } from "../host.ts";

/** After the first round, the kernel allocates no pids below this (RESERVED_PIDS, kernel/pid.c). */
const RESERVED_PIDS = 300;
/** The smallest pid_max that the kernel accepts. */
const MIN_PID_MAX = 301;

/**
 * Reads how many processes and threads were created since boot, on the whole machine, whatever pid namespace
 * procfs shows. Source: the line "processes" of /proc/stat. `undefined` where there is none.
 */
export function readForkCount(host: Host): number | undefined {
  const text = readProcFile(host, "stat");
  // processes 6895
  const count = /^processes (\d+)$/m.exec(text)?.[1];
  return count === undefined ? undefined : Number(count);
}

/**
 * Reads the pid that was allocated last. Source: the last field of /proc/loadavg. `undefined` where there is
 * none.
 */
export function readLastPid(host: Host): number | undefined {
  const text = readProcFile(host, "loadavg");
  // 0.35 0.20 0.11 2/214 6895
  const pid = /\s(\d+)\s*$/.exec(text)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** Reads one more than the highest pid. Source: /proc/sys/kernel/pid_max. */
export function readPidMax(host: Host): number {
  const pidMax = Number.parseInt(readProcFile(host, "sys/kernel/pid_max"), 10);
  return Number.isInteger(pidMax) ? pidMax : MIN_PID_MAX;
}

/** The position of the pid allocation of the kernel at one moment. */
export interface PidCursor {
  forks: number | undefined;
  lastPid: number | undefined;
}

/**
 * The pids after `after`, up to and including `upTo`, in the circular order in which the kernel allocates
 * them.
 */
export class PidSpan {
  readonly #after: number;
  readonly #upTo: number;
  readonly #pidMax: number;

  constructor(after: number, upTo: number, pidMax: number) {
    this.#after = after;
    this.#upTo = upTo;
    this.#pidMax = pidMax;
  }

  get size(): number {
    const distance = this.#upTo - this.#after;
    return distance >= 0 ? distance : distance + this.#pidMax;
  }

  has(pid: number): boolean {
    return this.#after <= this.#upTo
      ? pid > this.#after && pid <= this.#upTo
      : pid > this.#after || pid <= this.#upTo;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let step = 1; step <= this.size; step++) yield (this.#after + step) % this.#pidMax;
  }
}

/**
 * Returns the pids that the kernel may have allocated between two cursors, or all pids when it may have
 * started a new round. A process with a chosen pid (clone3 set_tid, a write to ns_last_pid) is not covered.
 */
export function allocatedBetween(before: PidCursor, after: PidCursor, pidMax: number): PidSpan {
  const { forks: forksBefore, lastPid: from } = before;
  const { forks: forksAfter, lastPid: to } = after;
  const any = new PidSpan(0, pidMax, pidMax);
  if (forksBefore === undefined || forksAfter === undefined || from === undefined || to === undefined) {
    return any;
  }
  // The kernel skips pids in use without a fork, so a round takes fewer forks than there are pids.
  if (forksAfter - forksBefore >= (pidMax - RESERVED_PIDS) / 2) return any;
  return new PidSpan(from, to, pidMax);
}
