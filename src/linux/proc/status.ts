import { type Host, readProcFile } from "../host.ts";

// include/uapi/linux/capability.h
export const CAP_SYS_PTRACE = 19;

/** The effective user and group of a process. */
export interface Credentials {
  uid: number;
  gid: number;
}

/** Source: /proc/PID/status, proc_pid_status(5). */
export function readCredentials(host: Host, pid: number): Credentials | "gone" {
  const text = readProcFile(host, `${pid}/status`);
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
