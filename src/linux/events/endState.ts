import { readlinkSync } from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import { type Host, readProcFile } from "../host.ts";
import { hasEnded, parseStat } from "../proc/stat.ts";
import type { WatchedProcess } from "./processEvents.ts";

/** The state of a whole process: a zombie has ended, threads included, and is not yet reaped by its parent. */
type EndState = { state: "alive" | "gone" } | { state: "zombie"; waitStatus: number };

// 812 (sh) Z 1 812 812 0 -1 4228108 … exit_code(52)
export function parseEndState(text: string, startTicks: number): EndState {
  const stat = parseStat(text);
  if (stat === undefined || stat.startTicks !== startTicks) return { state: "gone" };
  if (!hasEnded(stat)) return { state: "alive" };
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const waitStatus = Number(fields[52 - 3]);
  return Number.isInteger(waitStatus) ? { state: "zombie", waitStatus } : { state: "gone" };
}

/** Reads /proc/PID/stat, proc_pid_stat(5). A process that may not be read counts as alive. */
export function readEndState(host: Host, process: WatchedProcess): EndState {
  try {
    const text = readProcFile(host, `${process.pid}/stat`);
    return text === "gone" ? { state: "gone" } : parseEndState(text, process.startTicks);
  } catch {
    return { state: "alive" };
  }
}

/**
 * Returns the wait status of a zombie, or `null` when the process is not a zombie or procfs hides the status:
 * without the rights of PTRACE_MODE_READ it shows 0. The link `exe` needs the same rights; with them, reading
 * that of a zombie fails with ENOENT, which proves that the status is the real one.
 */
export function readZombieStatus(host: Host, process: WatchedProcess): number | null {
  try {
    readlinkSync(`${host.procRoot}/${process.pid}/exe`);
    return null;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") return null;
  }
  const end = readEndState(host, process);
  return end.state === "zombie" ? end.waitStatus : null;
}

/**
 * Returns whether field 52 of /proc/PID/stat is the wait status of the whole process. Before Linux 5.17 it is
 * that of the first thread, which may have ended before the others.
 */
export function showsStatusOfProcess(host: Host): boolean {
  const release = readProcFile(host, "sys/kernel/osrelease");
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  return major > 5 || (major === 5 && minor >= 17);
}
