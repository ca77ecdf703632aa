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
  /** Start, in clock ticks since boot. Together with boot id and pid it names a process for good. */
  startTicks: number;
}

const PF_KTHREAD = 0x00200000;

// 4026 (ffmpeg) S 1 4026 4026 0 -1 4194560 …   ← comm may hold spaces and ')': split after the last ')'
export function parseStat(text: string): ProcStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) return undefined;
  const pid = Number(text.slice(0, open));
  const fields = text.slice(close + 2).split(" ");
  // fields[0] is field 3 of the man page, so field N is fields[N - 3].
  const [state, ppid, pgrp, session] = fields;
  const startTicks = Number(fields[22 - 3]);
  if (!Number.isSafeInteger(pid) || pid <= 0 || !state || !Number.isSafeInteger(startTicks)) return undefined;
  return {
    pid,
    comm: text.slice(open + 1, close),
    state,
    ppid: Number(ppid),
    pgrp: Number(pgrp),
    session: Number(session),
    isKernelThread: (Number(fields[9 - 3]) & PF_KTHREAD) !== 0,
    startTicks,
  };
}

/** `"gone"` when no such process exists. */
export function readStat(host: Host, pid: number): ProcStat | "gone" {
  const text = readProcFile(host, `${pid}/stat`);
  return text === "gone" ? "gone" : (parseStat(text) ?? "gone");
}

/** Ended in every sense that matters to a user, even if its parent has not collected it yet. */
export function hasEnded(stat: ProcStat): boolean {
  return stat.state === "Z" || stat.state === "X" || stat.state === "x";
}
