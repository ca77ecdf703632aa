import { type Host, readProcFile } from "../host.ts";

/** The effective user and group of a process. */
export interface Credentials {
  uid: number;
  gid: number;
}

/** Reads the lines Uid and Gid of /proc/PID/status, proc_pid_status(5). */
export function readCredentials(host: Host, pid: number): Credentials | "gone" {
  const text = readProcFile(host, `${pid}/status`);
  return text === "gone" ? "gone" : (parseCredentials(text) ?? "gone");
}

// Uid:	1000	1000	1000	1000     ← real, effective, saved, file system
// Gid:	1000	1000	1000	1000
function parseCredentials(text: string): Credentials | undefined {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(text)?.[1];
  const gid = /^Gid:\s+\d+\s+(\d+)/m.exec(text)?.[1];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}
