import * as fs from "node:fs";
import { type FileWatch, watchPath } from "./fileWatch.ts";

/**
 * The only access to cgroup files. It is synchronous: the order of writes keeps a workload safe, and cgroupfs
 * waits for no device. Every method but `watch` throws the error of the file system, with `code` and `path`.
 */
export interface CgroupFs {
  read(path: string): string;
  /** Writes the whole text with one write(2): the kernel parses each write by itself. */
  write(path: string, data: string): void;
  mkdir(path: string): void;
  rmdir(path: string): void;
  exists(path: string): boolean;
  /** Returns the names of the child cgroups. */
  children(path: string): string[];
  /** Watches as `watchPath` does. The kernel reports changes of a few files, such as cgroup.events (v2). */
  watch(path: string, onChange: () => void): FileWatch | undefined;
}

export const realCgroupFs: CgroupFs = {
  read: (path) => fs.readFileSync(path, "utf8"),
  write(path, data) {
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
  children: (path) =>
    fs
      .readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name),
  watch: watchPath,
};
