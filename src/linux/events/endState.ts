import { readlinkSync } from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import { type Host, readProcFile } from "../host.ts";
import { hasEnded, parseStat } from "../proc/stat.ts";
import type { WatchedProcess } from "./processEvents.ts";

/**
 * Whether a whole process is over. `"alive"` includes one whose first thread has ended while others go on:
 * procfs shows it as a zombie, but it is none yet. `"zombie"` is over and not yet collected by its parent.
 */
export type EndState = { state: "alive" } | { state: "zombie"; waitStatus: number } | { state: "gone" };

// 812 (sh) Z 1 812 812 0 -1 4228108 … exit_code(52)
export function parseEndState(text: string, startTicks: number): EndState {
  const stat = parseStat(text);
  if (stat === undefined || stat.startTicks !== startTicks) return { state: "gone" };
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const waitStatus = Number(fields[52 - 3]);
  if (!hasEnded(stat)) return { state: "alive" };
  return Number.isInteger(waitStatus) ? { state: "zombie", waitStatus } : { state: "gone" };
}

/** Source: /proc/PID/stat; proc_pid_stat(5). A process that may not be looked at counts as alive. */
export function readEndState(host: Host, process: WatchedProcess): EndState {
  try {
    const text = readProcFile(host, `${process.pid}/stat`);
    return text === "gone" ? { state: "gone" } : parseEndState(text, process.startTicks);
  } catch {
    return { state: "alive" };
  }
}

/**
 * The wait status of a zombie, or `null` where it cannot be known: the process is no zombie, or procfs
 * hides the status from us. It does so by showing a 0, for want of the rights of PTRACE_MODE_READ; the
 * link `exe` is under the same rights, and missing in a zombie for those who have them.
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
 * Whether field 52 of /proc/PID/stat is the status of the process. Before Linux 5.17 it is its first thread's,
 * which is another one when that thread ended before the others.
 */
export function showsStatusOfProcess(host: Host): boolean {
  const release = readProcFile(host, "sys/kernel/osrelease");
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (major === undefined || minor === undefined) return false;
  return Number(major) > 5 || (Number(major) === 5 && Number(minor) >= 17);
}
