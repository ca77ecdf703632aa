import { readdirSync, readlinkSync, statSync } from "node:fs";
import { readFileIdentity } from "../../sys/statx.ts";
import { type Host, isForbidden, readProcFile, unlessGone } from "../host.ts";
import { readStat } from "./stat.ts";

/** Returns every pid that procfs lists, in no order. */
export function listPids(host: Host): number[] {
  return readdirSync(host.procRoot)
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 0);
}

/** Returns whether a pid is that of a process: procfs also has unlisted directories of other threads. */
export function isProcess(host: Host, pid: number): boolean {
  return /^Tgid:\s+(\d+)/m.exec(readProcFile(host, `${pid}/status`))?.[1] === String(pid);
}

/** Returns the thread ids of a process, including its pid. Empty when the process is gone. */
export function listThreads(host: Host, pid: number): number[] {
  const tids = unlessGone(() => readdirSync(`${host.procRoot}/${pid}/task`));
  return tids === "gone" ? [] : tids.map(Number);
}

/**
 * Reads /proc/PID/cmdline, decoded as UTF-8 with replacement characters. Empty for kernel threads, zombies and
 * processes that erased their arguments. The last argument ends at the last NUL.
 */
export function readArguments(host: Host, pid: number): string[] {
  const text = readProcFile(host, `${pid}/cmdline`);
  if (text === "gone" || text === "") return [];
  return (text.endsWith("\0") ? text.slice(0, -1) : text).split("\0");
}

export function readExecutable(host: Host, pid: number): string | undefined {
  return readLink(host, `${pid}/exe`)?.replace(/ \(deleted\)$/, "");
}

/** Reads /proc/PID/environ: `PATH=/usr/bin\0TIER=gold\0`. The first value of a variable counts, as for getenv(3). */
export function readEnvironment(host: Host, pid: number): ReadonlyMap<string, string> | "gone" {
  const text = readProcFile(host, `${pid}/environ`);
  if (text === "gone") return "gone";
  const variables = new Map<string, string>();
  for (const entry of text.split("\0")) {
    const at = entry.indexOf("=");
    if (at > 0 && !variables.has(entry.slice(0, at))) variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return variables;
}

/** Returns whether two processes run the same executable file; false when one may not be read. */
export function runsSameFile({ procRoot }: Host, pid: number, other: number | "self"): boolean {
  const [a, b] = [pid, other].map((each) => readFileIdentity(`${procRoot}/${each}/exe`));
  return a !== undefined && a === b;
}

export function readWorkingDirectory(host: Host, pid: number): string | undefined {
  return readLink(host, `${pid}/cwd`);
}

/** Reads the owner of a process: its effective uid, or 0 when the process is not dumpable (proc_pid(5)). */
export function readOwner(host: Host, pid: number): number | undefined {
  return statSync(`${host.procRoot}/${pid}`, { throwIfNoEntry: false })?.uid;
}

/** Returns a process and then its descendants, without those that were reparented when their parent ended. */
export function listTree(host: Host, root: number): number[] {
  const seen = new Set([root]);
  for (const pid of seen) for (const child of listChildren(host, pid)) seen.add(child);
  return [...seen];
}

/** Source: /proc/PID/task/TID/children, or where the kernel lacks it (CONFIG_PROC_CHILDREN) all processes. */
function listChildren(host: Host, pid: number): number[] {
  const children: number[] = [];
  for (const tid of listThreads(host, pid)) {
    const text = readProcFile(host, `${pid}/task/${tid}/children`);
    if (text !== "gone") children.push(...text.split(" ").filter(Boolean).map(Number));
    else if (listThreads(host, pid).includes(tid))
      return listPids(host).filter((child) => {
        const stat = readStat(host, child);
        return stat !== "gone" && stat.ppid === pid;
      });
  }
  return children;
}

/** `undefined` when there is no such link, as for kernel threads and zombies, or it may not be read. */
export function readLink(host: Host, path: string): string | undefined {
  try {
    return readlinkSync(`${host.procRoot}/${path}`);
  } catch {
    return undefined;
  }
}

/** Returns `undefined` for a process that is gone, and for a fact that the kernel does not let us read. */
export function visible<T>(read: () => T | "gone"): T | undefined {
  try {
    const fact = read();
    return fact === "gone" ? undefined : fact;
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
