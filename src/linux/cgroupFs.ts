import * as fs from "node:fs";
import { basename } from "node:path";
import { hasCgroupPrograms } from "../sys/cgroupPrograms.ts";
import { type FileWatch, watchPath } from "./fileWatch.ts";

/**
 * The only cgroup files that ffrtmp writes: who is where, and limits. No process is stopped or killed by a
 * number in one of them, unlike cgroup.kill, cgroup.freeze, freezer.state, memory.force_empty and others. The
 * seccomp filter cannot tell files apart, so this list can.
 */
export const WRITABLE_FILES: ReadonlySet<string> = new Set([
  ...["cgroup.procs", "cgroup.threads", "tasks", "cgroup.type", "cgroup.subtree_control"],
  ...[
    "cpu.max",
    "cpu.weight",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "io.max",
    "pids.max",
    "cpuset.cpus",
    "cpuset.mems",
  ],
  ...["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"],
  ...["memory.soft_limit_in_bytes", "memory.limit_in_bytes"],
  ...["blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"],
  ...["blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"],
]);

/**
 * The only access to cgroup files. It is synchronous: the order of writes keeps a workload safe, and cgroupfs
 * waits for no device. Every method but `watch` throws the error of the file system, with `code` and `path`.
 */
export interface CgroupFs {
  read(path: string): string;
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
  /** Returns whether BPF programs restrict a cgroup, which no file of it shows. */
  hasPrograms(path: string): boolean;
  /** Watches as `watchPath` does. The kernel reports changes of a few files, such as cgroup.events (v2). */
  watch(path: string, onChange: () => void): FileWatch | undefined;
}

export const realCgroupFs: CgroupFs = {
  read: (path) => fs.readFileSync(path, "utf8"),
  write(path, data) {
    if (!WRITABLE_FILES.has(basename(path)))
      throw Object.assign(new Error(`EPERM: ffrtmp never writes ${path}`), { code: "EPERM", path });
    // Without O_CREAT a missing file fails with ENOENT; with it cgroupfs returns EACCES.
    const fd = fs.openSync(path, fs.constants.O_WRONLY);
    try {
      fs.writeSync(fd, data);
    } finally {
      fs.closeSync(fd);
    }
  },
  mkdir: (path) => fs.mkdirSync(path, 0o755),
  rmdir: (path) => fs.rmdirSync(path),
  exists: fs.existsSync,
  isFile(path) {
    try {
      return fs.statSync(path).isFile();
    } catch {
      return false;
    }
  },
  isWritable(path) {
    try {
      fs.accessSync(path, fs.constants.W_OK);
      return true;
    } catch {
      return false;
    }
  },
  realPath: (path) => fs.realpathSync(path),
  owner(path) {
    try {
      return fs.statSync(path).uid;
    } catch {
      return undefined;
    }
  },
  children: (path) =>
    fs
      .readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name),
  files: (path) =>
    fs
      .readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name),
  hasPrograms: hasCgroupPrograms,
  watch: watchPath,
};
