import { type Host, readProcFile, readProcStart } from "../host.ts";

// include/uapi/linux/capability.h
export const CAP_SYS_PTRACE = 19;

/** Everything before the line `Groups:`, which a process with 65536 groups makes 700 KB long. Name, the longest, has 64. */
const STATUS_START_BYTES = 2048;

/** Reads the start of /proc/PID/status: Name to Gid. `"gone"` when there is no such process. */
export function readStatusStart(host: Host, pid: number): string {
  const read = readProcStart(host, `${pid}/status`, STATUS_START_BYTES);
  return read === "gone" ? read : read.text;
}

/** The effective user and group of a process. */
export interface Credentials {
  uid: number;
  gid: number;
}

/** Source: /proc/PID/status, proc_pid_status(5). */
export function readCredentials(host: Host, pid: number): Credentials | "gone" {
  const text = readStatusStart(host, pid);
  // Uid:	1000	1000	1000	1000     ← real, effective, saved, file system
  // Gid:	1000	1000	1000	1000
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(text)?.[1];
  const gid = /^Gid:\s+\d+\s+(\d+)/m.exec(text)?.[1];
  return uid === undefined || gid === undefined ? "gone" : { uid: Number(uid), gid: Number(gid) };
}

/** Returns whether this process has an effective capability, capabilities(7). Source: /proc/self/status. */
export function hasCapability(host: Host, capability: number): boolean {
  // CapEff:	000001fffeffffff
  const mask = /^CapEff:\s+([0-9a-f]+)$/m.exec(readProcFile(host, "self/status"))?.[1] ?? "0";
  return ((BigInt(`0x${mask}`) >> BigInt(capability)) & 1n) === 1n;
}
