import { hasCgroupPrograms } from "../sys/cgroupPrograms.ts";
import {
  codeOfErrno,
  type FileStatus,
  type FileType,
  fileExists,
  isAccessible,
  listDirectory,
  makeDirectory,
  readTextFile,
  readTextOrErrno,
  realPathOf,
  removeDirectory,
  statusOf,
  W_OK,
  writeTextFile,
} from "../sys/files.ts";
import { type FileWatch, watchPath } from "./fileWatch.ts";
import { WRITABLE_FILES } from "./writableFiles.ts";

/**
 * The only access to cgroup files. It is synchronous: the order of writes keeps a workload safe, and cgroupfs
 * waits for no device. Every method but `watch` throws the error of the file system, with `code` and `path`.
 */
export interface CgroupFs {
  read(path: string): string;
  /** The same, with the code of the error in place of throwing it, which takes a launch two blocks of the heap. */
  readOrCode?(path: string): { readonly result: string } | { readonly error: string };
  /** The same for a file in a directory, where that is faster. */
  readIn?(directory: string, file: string): string;
  /**
   * Writes the whole text with one write(2): the kernel parses each write by itself. Fails with EPERM for a
   * file that is not in WRITABLE_FILES.
   */
  write(path: string, data: string): void;
  mkdir(path: string): void;
  rmdir(path: string): void;
  exists(path: string): boolean;
  /** Returns whether there is a file at a path, which is no cgroup. */
  isFile(path: string): boolean;
  /** Returns whether this process may write to a file, or make a cgroup in a directory: access(2). */
  isWritable(path: string): boolean;
  /** Returns the path without symbolic links. */
  realPath(path: string): string;
  /** Returns the uid that owns a cgroup's directory; `undefined` when there is none, or it cannot be read. */
  owner(path: string): number | undefined;
  /** Returns the names of the child cgroups. */
  children(path: string): string[];
  /** Returns the names of the control files of a cgroup. */
  files(path: string): string[];
  /**
   * Returns whether processes are in a cgroup itself; false where that cannot be read, as in a cgroup of threads. The list
   * of them differs with each reading.
   */
  hasProcesses(path: string): boolean;
  /** Returns whether BPF programs restrict a cgroup, which no file of it shows. */
  hasPrograms(path: string): boolean;
  /** Watches as `watchPath` does. The kernel reports changes of a few files, such as cgroup.events (v2). */
  watch(path: string, onChange: () => void): FileWatch | undefined;
}

export const realCgroupFs: CgroupFs = {
  read: readTextFile,
  readOrCode(path) {
    const text = readTextOrErrno(path);
    return typeof text === "number" ? { error: codeOfErrno(text) } : { result: text };
  },
  write(path, data) {
    if (WRITABLE_FILES.indexOf(path.slice(path.lastIndexOf("/") + 1)) < 0)
      throw Object.assign(new Error(`EPERM: ffrtmp never writes ${path}`), { code: "EPERM", path });
    // Without O_CREAT a missing file fails with ENOENT; with it cgroupfs returns EACCES.
    writeTextFile(path, data);
  },
  mkdir: (path) => makeDirectory(path, 0o755),
  rmdir: removeDirectory,
  exists: fileExists,
  isFile: (path) => statusOrNone(path)?.type === "file",
  isWritable: (path) => isAccessible(path, W_OK),
  realPath: realPathOf,
  owner: (path) => statusOrNone(path)?.uid,
  // cgroupfs counts two links and one for each child (kernfs_refresh_inode(), fs/kernfs/inode.c). Most cgroups have no child,
  // and a list of their files is 40 to 60 names long.
  children: (path) => (statusOrNone(path)?.links === 2 ? [] : namesIn(path, "directory")),
  files: (path) => namesIn(path, "file"),
  hasProcesses(path) {
    try {
      return readTextFile(`${path}/cgroup.procs`) !== "";
    } catch {
      return false;
    }
  },
  hasPrograms: hasCgroupPrograms,
  watch: watchPath,
};

function statusOrNone(path: string): FileStatus | undefined {
  try {
    return statusOf(path);
  } catch {
    return undefined;
  }
}

function namesIn(path: string, wanted: FileType): string[] {
  return listDirectory(path).flatMap(({ name, type }) => (type === wanted ? [name] : []));
}
