import { type Host, readProcFile } from "../host.ts";

/** The fields of /proc/PID/stat that governing needs. Source: proc_pid_stat(5). */
export interface ProcStat {
  pid: number;
  /** At most 15 bytes, whatever the process wrote there: spaces, newlines and parentheses too. */
  comm: string;
  /** One letter: R, S, D, Z (ended, not yet reaped), X (being removed), … */
  state: string;
  ppid: number;
  pgrp: number;
  session: number;
  isKernelThread: boolean;
  /** Of the first thread: −20 (most favoured) to 19. */
  nice: number;
  /** The first one counts until all have ended. */
  threads: number;
  /** Start, in clock ticks since boot. Together with boot id and pid it names a process for good. */
  startTicks: number;
}

const PF_KTHREAD = 0x00200000;

// state, ppid, pgrp, session, tty_nr, tpgid, flags, nine more, nice, num_threads, one more, starttime; and what shows that it is
// written to its end
const FIELDS_3_TO_22 =
  /^ (\S) (\d+) (-?\d+) (-?\d+) -?\d+ -?\d+ (\d+)(?: -?\d+){9} (-?\d+) (\d+) -?\d+ (\d+) /;

// 4026 (ffmpeg) S 1 4026 4026 0 -1 4194560 …   ← comm may hold spaces and ')': split after the last ')'
export function parseStat(text: string): ProcStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  const head = /^([1-9]\d*) $/.exec(text.slice(0, Math.max(open, 0)));
  const fields = FIELDS_3_TO_22.exec(text.slice(close + 1));
  if (!head || !fields) return undefined;
  const pid = Number(head[1]);
  const startTicks = Number(fields[8]);
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(startTicks)) return undefined;
  return {
    pid,
    comm: text.slice(open + 1, close),
    state: fields[1] as string,
    ppid: Number(fields[2]),
    pgrp: Number(fields[3]),
    session: Number(fields[4]),
    isKernelThread: (Number(fields[5]) & PF_KTHREAD) !== 0,
    nice: Number(fields[6]),
    threads: Number(fields[7]),
    startTicks,
  };
}

/** `"gone"` when no such process exists. */
export function readStat(host: Host, pid: number): ProcStat | "gone" {
  const text = readProcFile(host, `${pid}/stat`);
  return text === "gone" ? "gone" : (parseStat(text) ?? "gone");
}

/**
 * Ended in every sense that matters to a user, even if its parent has not collected it yet. A process whose first
 * thread has ended is shown as a zombie, and is none while its other threads go on.
 */
export function hasEnded({ state, threads }: ProcStat): boolean {
  return (state === "Z" || state === "X" || state === "x") && threads <= 1;
}
