import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { type Host, isGone, readProcFile } from "../host.ts";
import { readStat } from "./stat.ts";

/** Every pid that procfs shows, in no order. */
export function listPids(host: Host): number[] {
  return readdirSync(host.procRoot)
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 0);
}

/** Whether this is a process's pid. procfs answers to the ids of other threads too, and does not list them. */
export function isProcess(host: Host, pid: number): boolean {
  return /^Tgid:\s+(\d+)/m.exec(readProcFile(host, `${pid}/status`))?.[1] === String(pid);
}

/** Thread ids of a process, its own pid among them. Empty when it is gone. */
export function listThreads(host: Host, pid: number): number[] {
  try {
    return readdirSync(`${host.procRoot}/${pid}/task`).map(Number);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/**
 * The arguments a process shows, decoded as UTF-8 with replacement characters. Source: /proc/PID/cmdline.
 * Empty for kernel threads, zombies and processes that erased them; the last argument ends at the last NUL.
 */
export function readArguments(host: Host, pid: number): string[] {
  const text = readProcFile(host, `${pid}/cmdline`);
  if (text === "gone" || text === "") return [];
  return (text.endsWith("\0") ? text.slice(0, -1) : text).split("\0");
}

/** The path that /proc/PID/exe points to, or `undefined` where it may not be read or there is none. */
export function readExecutable(host: Host, pid: number): string | undefined {
  return readLink(host, `${pid}/exe`)?.replace(/ \(deleted\)$/, "");
}

/** Whether two processes run the same executable file. False where either may not be read. Source: /proc/PID/exe. */
export function runsSameFile({ procRoot }: Host, pid: number, other: number | "self"): boolean {
  try {
    const [a, b] = [pid, other].map((each) => statSync(`${procRoot}/${each}/exe`));
    return a?.dev === b?.dev && a?.ino === b?.ino;
  } catch {
    return false;
  }
}

export function readWorkingDirectory(host: Host, pid: number): string | undefined {
  return readLink(host, `${pid}/cwd`);
}

/** Owner of the process: its effective uid, or 0 where the kernel calls it not dumpable. */
export function readOwner(host: Host, pid: number): number | undefined {
  try {
    return statSync(`${host.procRoot}/${pid}`).uid;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The process itself first, then its descendants. Those that were given to init by a dying parent are not among them. */
export function listTree(host: Host, root: number): number[] {
  const seen = new Set([root]);
  for (const pid of seen) for (const child of listChildren(host, pid)) seen.add(child);
  return [...seen];
}

/** Source: /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN); a scan of every stat where the kernel lacks it. */
function listChildren(host: Host, pid: number): number[] {
  const children: number[] = [];
  for (const tid of listThreads(host, pid)) {
    try {
      const text = readFileSync(`${host.procRoot}/${pid}/task/${tid}/children`, "utf8");
      children.push(...text.split(" ").filter(Boolean).map(Number));
    } catch (error) {
      if (!isGone(error)) throw error;
      if (listThreads(host, pid).includes(tid)) return scanForChildren(host, pid);
    }
  }
  return children;
}

function scanForChildren(host: Host, parent: number): number[] {
  return listPids(host).filter((pid) => {
    const stat = readStat(host, pid);
    return stat !== "gone" && stat.ppid === parent;
  });
}

function readLink(host: Host, path: string): string | undefined {
  try {
    return readlinkSync(`${host.procRoot}/${path}`);
  } catch {
    return undefined;
  }
}
