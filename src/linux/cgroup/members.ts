import { errnoOf } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";

/**
 * The processes in a cgroup and in those below it, each once, ascending.
 * Empty for one that is gone. Processes of a pid namespace that cannot be seen from here have no number, and are left out.
 */
export function listProcesses(fs: CgroupFs, path: string): number[] {
  const pids = walk(
    fs,
    path,
    (directory) => readProcesses(fs, directory) ?? processesOfThreads(fs, directory),
  );
  return [...new Set(pids)].filter((pid) => pid > 0).sort((a, b) => a - b);
}

/** What keeps a cgroup or one below it in use: pids, or thread ids where only threads are in it; 0 for what cannot be seen from here. */
export function listOccupants(fs: CgroupFs, path: string): number[] {
  return walk(fs, path, (directory) => readProcesses(fs, directory) ?? readThreads(fs, directory));
}

/** `undefined` for a threaded cgroup (v2, from 4.14): it tells its threads only, and they belong to processes of a cgroup above. */
function readProcesses(fs: CgroupFs, path: string): number[] | undefined {
  try {
    return readNumbers(fs, `${path}/cgroup.procs`);
  } catch (error) {
    if (errnoOf(error) === "ENOTSUP") return undefined;
    throw error;
  }
}

/** A process has the id of its first thread; the nearest cgroup above that is not threaded knows which ids are processes. */
function processesOfThreads(fs: CgroupFs, path: string): number[] {
  const threads = new Set(readThreads(fs, path));
  let processes: number[] | undefined;
  for (let above = path; !processes; processes = readProcesses(fs, above)) {
    above = above.slice(0, above.lastIndexOf("/"));
  }
  return processes.filter((pid) => threads.has(pid));
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
