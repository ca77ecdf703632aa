import { type Host, readProcFile } from "../host.ts";

/**
 * The pid of the process that a pidfd of ours holds: `"gone"` once it has been reaped, `"none"` when the descriptor
 * is no pidfd. Source: /proc/self/fdinfo/FD, proc_pid_fdinfo(5); Linux 5.3.
 */
export function readPidfdInfo(host: Host, pidfd: number): number | "gone" | "none" {
  return parsePidfdInfo(readProcFile(host, `self/fdinfo/${pidfd}`));
}

// pos:	0
// flags:	02000002
// Pid:	4026            ← -1 after the reap, 0 when it lives in a pid namespace that ours cannot see
export function parsePidfdInfo(text: string): number | "gone" | "none" {
  const pid = /^Pid:\s+(-?\d+)$/m.exec(text)?.[1];
  if (pid === undefined) return "none";
  return Number(pid) < 0 ? "gone" : Number(pid);
}
