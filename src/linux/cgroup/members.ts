import { errnoOf } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";

/**
 * Returns the processes in a cgroup and below it, each once, ascending. Empty for a cgroup that is gone. Processes of a pid
 * namespace that is not visible from ours have no pid and are left out.
 */
export function listProcesses(fs: CgroupFs, path: string): number[] {
  const pids = walk(fs, path, (threaded) => processesOfThreads(fs, threaded));
  // Most jobs have one process, and are listed again and again.
  if (pids.length === 1) return pids[0] === 0 ? [] : pids;
  return [...new Set(pids)].filter((pid) => pid > 0).sort((a, b) => a - b);
}

/**
 * Returns the pids in a cgroup and below it, and thread ids of threaded cgroups: each keeps the cgroup in use. 0 is a
 * process of a pid namespace that is not visible from ours.
 */
export function listOccupants(fs: CgroupFs, path: string): number[] {
  return walk(fs, path, (threaded) => readNumbers(fs, `${threaded}/cgroup.threads`));
}

/**
 * Returns the threads in a cgroup and below it, without those in some of the cgroups there. 0 is a thread of a pid namespace
 * that is not visible from ours.
 */
export function listThreadsBelow(fs: CgroupFs, path: string, without: ReadonlySet<string>): number[] {
  if (without.has(path)) return [];
  try {
    const file = fs.exists(`${path}/tasks`) ? "tasks" : "cgroup.threads";
    const below = fs.children(path).flatMap((child) => listThreadsBelow(fs, `${path}/${child}`, without));
    return [...readNumbers(fs, `${path}/${file}`), ...below];
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENODEV") return [];
    throw error;
  }
}

/** Reads a cgroup and all below it. An open file of a removed cgroup returns ENODEV. */
function walk(fs: CgroupFs, path: string, readThreaded: (path: string) => number[]): number[] {
  try {
    // The cgroup before its children: a process that moves down meanwhile is seen.
    const own = readProcesses(fs, path) ?? readThreaded(path);
    const children = fs.children(path);
    if (children.length === 0) return own;
    return [...own, ...children.flatMap((child) => walk(fs, `${path}/${child}`, readThreaded))];
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENODEV") return [];
    throw error;
  }
}

/**
 * Reads cgroup.procs. `undefined` for a threaded cgroup (v2, from 4.14), which lists only threads: they belong to processes
 * of a cgroup above.
 */
function readProcesses(fs: CgroupFs, path: string): number[] | undefined {
  try {
    return readNumbers(fs, `${path}/cgroup.procs`);
  } catch (error) {
    if (errnoOf(error) === "ENOTSUP") return undefined;
    throw error;
  }
}

/**
 * Returns the processes whose first thread is in a threaded cgroup. The nearest cgroup above that is not threaded lists
 * which thread ids are pids.
 */
function processesOfThreads(fs: CgroupFs, path: string): number[] {
  const threads = new Set(readNumbers(fs, `${path}/cgroup.threads`));
  let processes: number[] | undefined;
  for (let above = path; !processes; processes = readProcesses(fs, above)) {
    above = above.slice(0, above.lastIndexOf("/"));
  }
  return processes.filter((pid) => threads.has(pid));
}

function readNumbers(fs: CgroupFs, path: string): number[] {
  const text = fs.read(path);
  const numbers: number[] = [];
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf("\n", start);
    const line = text.slice(start, end < 0 ? text.length : end);
    if (line !== "") numbers.push(Number(line));
    start += line.length + 1;
  }
  return numbers;
}
