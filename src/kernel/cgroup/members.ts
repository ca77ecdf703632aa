import { errnoOf } from "../host.ts";
import type { CgroupFs } from "./cgroupFs.ts";

/**
 * The processes in a cgroup and in those below it, each once, ascending.
 * Empty for one that is gone. Processes of a pid namespace that cannot be seen from here have no number, and are left out.
 */
export function listProcesses(fs: CgroupFs, path: string): number[] {
  const pids = walk(fs, path, (directory) => readProcesses(fs, directory));
  return [...new Set(pids)].filter((pid) => pid > 0).sort((a, b) => a - b);
}

/** What keeps a cgroup or one below it in use: pids, or thread ids where only threads are in it; 0 for what cannot be seen from here. */
export function listOccupants(fs: CgroupFs, path: string): number[] {
  return walk(fs, path, (directory) =>
    isThreaded(fs, directory) ? readThreads(fs, directory) : readNumbers(fs, `${directory}/cgroup.procs`),
  );
}

/** v2: a cgroup of single threads, which belong to the processes of a cgroup above. Source: cgroup.type, from 4.14. */
export function isThreaded(fs: CgroupFs, path: string): boolean {
  return readType(fs, path) === "threaded";
}

/** v2: `domain`, `domain threaded`, `domain invalid` or `threaded`; `undefined` for a root, and on v1. */
export function readType(fs: CgroupFs, path: string): string | undefined {
  try {
    return fs.read(`${path}/cgroup.type`).trim();
  } catch {
    return undefined;
  }
}

function readProcesses(fs: CgroupFs, path: string): number[] {
  if (!isThreaded(fs, path)) return readNumbers(fs, `${path}/cgroup.procs`);
  // A threaded cgroup tells its threads only. A process has the id of its first thread, and the domain above knows
  // which ids are processes.
  const threads = new Set(readThreads(fs, path));
  let domain = path;
  while (isThreaded(fs, domain)) domain = domain.slice(0, domain.lastIndexOf("/"));
  return readNumbers(fs, `${domain}/cgroup.procs`).filter((pid) => threads.has(pid));
}

function readThreads(fs: CgroupFs, path: string): number[] {
  return readNumbers(fs, `${path}/cgroup.threads`);
}

/** ENODEV is what an open file of a removed cgroup answers. */
function walk(fs: CgroupFs, path: string, read: (directory: string) => number[]): number[] {
  try {
    return [...read(path), ...fs.children(path).flatMap((child) => walk(fs, `${path}/${child}`, read))];
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENODEV") return [];
    throw error;
  }
}

function readNumbers(fs: CgroupFs, path: string): number[] {
  return fs.read(path).split("\n").filter(Boolean).map(Number);
}
