import { readlinkSync } from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import type { PidfdExit } from "../../sys/pidfd.ts";
import { type Host, readProcFile } from "../host.ts";
import { hasEnded, parseStat } from "../proc/stat.ts";
import type { ExitFacts, WatchedProcess } from "./processEvents.ts";

const NO_RECORD = {
  none: "the process has no pidfd",
  unsupported: "pidfds of this kernel keep no exit record (Linux 6.15 does)",
  unknown: "the pidfd has no exit record",
  running: "its parent has not reaped it",
};

export interface ExitObservations {
  /** The answer of PIDFD_GET_INFO; `"none"` when there is no pidfd. */
  record: PidfdExit | "none";
  /** Status in procfs while the process was a zombie; `null` when it was not seen as one. */
  zombieStatus: number | null;
  /** The wait status of the first thread, or `"conflicting"` when threads ended with different statuses. */
  reported: number | "none" | "conflicting";
  /** Events of the connector may have been lost. */
  eventsLost: boolean;
}

/**
 * Returns the status with the best evidence, or `"wait"` while better evidence may still arrive. The record
 * behind the pidfd is the best: the kernel writes it when the parent reaps the process, which `waitIsOver` does
 * not wait for any longer. The event of the connector ranks last: its status is that of the process only if no
 * other thread ended with another one.
 */
export function selectEvidence(
  { record, zombieStatus, reported, eventsLost }: ExitObservations,
  waitIsOver: boolean,
): ExitFacts | "wait" {
  if (typeof record === "object") return { waitStatus: record.status, evidence: "pidfd" };
  if (!waitIsOver) return "wait";
  if (zombieStatus !== null) return { waitStatus: zombieStatus, evidence: "proc-stat" };
  if (typeof reported === "number") return { waitStatus: reported, evidence: "proc-event" };
  const noEvent = eventsLost ? "the kernel dropped its exit event" : "no exit event arrived";
  const noStatus = reported === "conflicting" ? "its threads ended with different statuses" : noEvent;
  return { waitStatus: null, evidence: null, reason: `${NO_RECORD[record]}, and ${noStatus}` };
}

/** The state of a whole process: a zombie has ended, threads included, and is not yet reaped by its parent. */
type EndState = "alive" | "gone" | { zombieStatus: number };

// 812 (sh) Z 1 812 812 0 -1 4228108 … exit_code(52)
export function parseEndState(text: string, startTicks: number): EndState {
  const stat = parseStat(text);
  if (stat?.startTicks !== startTicks) return "gone";
  if (!hasEnded(stat)) return "alive";
  const zombieStatus = Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[52 - 3]);
  return Number.isInteger(zombieStatus) ? { zombieStatus } : "gone";
}

/** Reads /proc/PID/stat, proc_pid_stat(5). A process that may not be read counts as alive. */
export function readEndState(host: Host, { pid, startTicks }: WatchedProcess): EndState {
  try {
    return parseEndState(readProcFile(host, `${pid}/stat`), startTicks);
  } catch {
    return "alive";
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
  return typeof end === "object" ? end.zombieStatus : null;
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
