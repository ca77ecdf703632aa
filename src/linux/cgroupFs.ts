import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeSync,
} from "node:fs";
import { type FileWatch, watchPath } from "./fileWatch.ts";

/**
 * The only door to cgroup files. All calls are synchronous: a cgroupfs call never waits for a device,
 * and the order of writes is what keeps a workload safe.
 * Every method but `watch` throws the file system's own error (with `code` and `path`).
 */
export interface CgroupFs {
  read(path: string): string;
  /** One write(2) of the whole text: the kernel parses each write on its own. */
  write(path: string, data: string): void;
  mkdir(path: string): void;
  rmdir(path: string): void;
  exists(path: string): boolean;
  /** Names of the child cgroups. */
  children(path: string): string[];
  /**
   * Calls back when the kernel says that a file has changed, or more often. It says so of few: of cgroup.events (v2).
   * `undefined` where it cannot.
   */
  watch(path: string, onChange: () => void): FileWatch | undefined;
}

export const realCgroupFs: CgroupFs = {
  read: (path) => readFileSync(path, "utf8"),
  write(path, data) {
    // Without O_CREAT a missing file is the honest ENOENT; with it cgroupfs answers EACCES.
    const fd = openSync(path, constants.O_WRONLY);
    try {
      writeSync(fd, data);
    } finally {
      closeSync(fd);
    }
  },
  mkdir: (path) => mkdirSync(path, 0o755),
  rmdir: (path) => rmdirSync(path),
  exists: (path) => existsSync(path),
  children: (path) =>
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name),
  watch: (path, onChange) => watchPath(path, onChange),
};
