import { type Host, readProcFile } from "../host.ts";
import { hasEnded, parseStat, readStat } from "./stat.ts";
import { listThreads } from "./table.ts";

/** Identifies one process permanently: a pid is reused, but not together with boot id and start time. */
export interface ProcessIdentity {
  bootId: string;
  pid: number;
  /** Clock ticks since boot, /proc/PID/stat field 22. */
  startTicks: number;
}

/** Reads the random id of this boot. Source: /proc/sys/kernel/random/boot_id. "" where procfs hides it. */
export function readBootId(host: Host): string {
  const text = readProcFile(host, "sys/kernel/random/boot_id");
  return text === "gone" ? "" : text.trim();
}

export function readIdentity(host: Host, pid: number): ProcessIdentity | "gone" {
  const stat = readStat(host, pid);
  if (stat === "gone") return "gone";
  return { bootId: readBootId(host), pid, startTicks: stat.startTicks };
}

/** Returns whether this process is still running. A zombie is not. */
export function isAlive(host: Host, identity: ProcessIdentity): boolean {
  const stat = readStat(host, identity.pid);
  if (stat === "gone" || hasEnded(stat)) return false;
  return stat.startTicks === identity.startTicks && readBootId(host) === identity.bootId;
}

const SIGKILL_MASK = 1n << 8n;

/**
 * Returns whether a process has ended or is ending: the kernel runs no more instructions of its program. An exit can last,
 * for as long as the kernel frees memory; meanwhile the process is neither a zombie nor moved to another cgroup.
 */
export function isEnding(host: Host, pid: number, startTicks: number): boolean {
  const stat = readStat(host, pid);
  if (stat === "gone" || stat.startTicks !== startTicks || hasEnded(stat)) return true;
  // The first thread can exit alone. The others continue then, unless the kernel has killed them: exit_group(2).
  return stat.isExiting && listThreads(host, pid).every((tid) => isThreadEnding(host, `${pid}/task/${tid}`));
}

function isThreadEnding(host: Host, directory: string): boolean {
  const text = readProcFile(host, `${directory}/stat`);
  if (text === "gone" || parseStat(text)?.isExiting) return true;
  // SigPnd:	0000000000000100
  const pending = /^SigPnd:\s+([0-9a-f]+)$/m.exec(readProcFile(host, `${directory}/status`))?.[1];
  return pending !== undefined && (BigInt(`0x${pending}`) & SIGKILL_MASK) !== 0n;
}

/**
 * Reads the pid of the process that a pidfd refers to: `"gone"` after it is reaped, `"none"` when the
 * descriptor is not a pidfd. Source: /proc/self/fdinfo/FD, proc_pid_fdinfo(5); Linux 5.3.
 */
export function readPidfdInfo(host: Host, pidfd: number): number | "gone" | "none" {
  // pos:	0
  // flags:	02000002
  // Pid:	4026            ← -1 after the reap, 0 for a pid namespace that is not visible from ours
  const pid = /^Pid:\s+(-?\d+)$/m.exec(readProcFile(host, `self/fdinfo/${pidfd}`))?.[1];
  if (pid === undefined) return "none";
  return Number(pid) < 0 ? "gone" : Number(pid);
}
