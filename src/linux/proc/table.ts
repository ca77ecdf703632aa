import { fileExists, listNumbers, readLinkIfAny, statusOf } from "../../sys/files.ts";
import { readFileIdentity } from "../../sys/statx.ts";
import { taskExists } from "../../sys/taskExists.ts";
import { type Host, isForbidden, PROC_ROOT, readProcFile, readProcStart, unlessGone } from "../host.ts";
import { readStat } from "./stat.ts";
import { readStatusStart } from "./status.ts";

/** Returns every pid that procfs lists, in no order. */
export function listPids(host: Host): number[] {
  return listNumbers(host.procRoot).filter((pid) => pid > 0);
}

/** Returns whether a process or a thread has this pid. Needs no descriptor. */
export function processExists(host: Host, pid: number): boolean {
  return host.procRoot === PROC_ROOT ? taskExists(pid) : fileExists(`${host.procRoot}/${pid}`);
}

/** Returns whether a pid is that of a process: procfs also has unlisted directories of other threads. */
export function isProcess(host: Host, pid: number): boolean {
  return /^Tgid:\s+(\d+)/m.exec(readStatusStart(host, pid))?.[1] === String(pid);
}

/** Returns the thread ids of a process, including its pid. Empty when the process is gone. */
export function listThreads(host: Host, pid: number): number[] {
  const tids = unlessGone(() => listNumbers(`${host.procRoot}/${pid}/task`));
  return tids === "gone" ? [] : tids;
}

/**
 * Calls a function with each thread of this process that is not in `known` and not in the cgroups of the main thread, to move it.
 * A new thread is in the cgroup of the one that starts it, and can itself start one there before it is moved: so they are listed
 * until no new one is found. One that another thread has started is left alone: its move would wait for the kernel for nothing.
 */
export function moveStartedThreads(host: Host, known: readonly number[], move: (tid: number) => void): void {
  const moved = [...known];
  const cgroupsOf = (tid: number) => readProcFile(host, `${process.pid}/task/${tid}/cgroup`);
  let outside: string | undefined;
  for (let hasMoved = true; hasMoved; ) {
    hasMoved = false;
    for (const tid of listThreads(host, process.pid)) {
      if (moved.indexOf(tid) >= 0) continue;
      moved.push(tid);
      outside ??= cgroupsOf(process.pid);
      if (outside !== "gone" && cgroupsOf(tid) === outside) continue;
      move(tid);
      hasMoved = true;
    }
  }
}

/**
 * The part of a command line that is read: as much as policies compare. A process can have 6 MB of arguments, and the
 * kernel reads them from its memory, page by page.
 */
export const MAX_ARGUMENT_BYTES = 32 * 1024;

/** `isCut`: the command line is longer than these words, of which the last one may be cut. */
export interface CommandLine {
  words: string[];
  isCut: boolean;
}

/**
 * Reads the start of /proc/PID/cmdline, decoded as UTF-8 with replacement characters. Empty for kernel threads, zombies and
 * processes that erased their arguments. The last argument ends at the last NUL.
 */
export function readCommandLine(host: Host, pid: number, maxBytes = MAX_ARGUMENT_BYTES): CommandLine {
  const read = readProcStart(host, `${pid}/cmdline`, maxBytes);
  if (read === "gone" || read.text === "") return { words: [], isCut: false };
  const { text, isCut } = read;
  return { words: (text.endsWith("\0") ? text.slice(0, -1) : text).split("\0"), isCut };
}

/** Reads the arguments of a process as far as policies compare them. */
export function readArguments(host: Host, pid: number): string[] {
  return readCommandLine(host, pid).words;
}

export function readExecutable(host: Host, pid: number): string | undefined {
  const path = readLink(host, `${pid}/exe`);
  return path && withoutDeleted(path);
}

/** The kernel adds that to the link of a file that has no name any more. */
function withoutDeleted(path: string): string {
  return path.replace(/ \(deleted\)$/, "");
}

/**
 * The part of an environment that is searched for a variable: as much as one argument or variable can be long
 * (MAX_ARG_STRLEN, execve(2)). A whole environment can have 6 MB.
 */
export const MAX_ENVIRONMENT_BYTES = 128 * 1024;

/** `isCut`: the environment is longer than the part with these variables. */
export interface Environment {
  variables: ReadonlyMap<string, string>;
  isCut: boolean;
}

/** Reads /proc/PID/environ: `PATH=/usr/bin\0TIER=gold\0`. The first value of a variable counts, as for getenv(3). */
export function readEnvironment(host: Host, pid: number): Environment | "gone" {
  const read = readProcStart(host, `${pid}/environ`, MAX_ENVIRONMENT_BYTES);
  if (read === "gone") return "gone";
  const entries = read.text.split("\0");
  // The value of the last one may be cut.
  if (read.isCut) entries.pop();
  const variables = new Map<string, string>();
  for (const entry of entries) {
    const at = entry.indexOf("=");
    if (at > 0 && !variables.has(entry.slice(0, at))) variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return { variables, isCut: read.isCut };
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
  return statusOf(`${host.procRoot}/${pid}`)?.uid;
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
  return readLinkIfAny(`${host.procRoot}/${path}`);
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
