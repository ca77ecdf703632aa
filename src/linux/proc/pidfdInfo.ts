import { type Host, readProcFile } from "../host.ts";

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
