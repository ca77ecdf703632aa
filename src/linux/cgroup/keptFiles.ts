import { closeSync, openSync, readSync } from "node:fs";
import { readSoftFileLimit } from "../../sys/fileLimit.ts";
import { type CgroupFs, realCgroupFs } from "../cgroupFs.ts";

/** The kernel keeps a buffer of a page for each open file: 16 MB in all. */
const MAX_OPEN = 4000;
/** The part of the limit on open files that these may take, of what the rest of a daemon does not need. */
const SHARE = 1 / 4;
const FOR_THE_REST = 256;

/** Larger than the counters of a cgroup with a hundred disks. */
const buffer = Buffer.allocUnsafe(64 * 1024);

/** Control files that stay open because they are read again and again. Opening one takes most of the time of a read. */
export class KeptFiles {
  readonly #max: number;
  #open = 0;

  constructor(max = Math.min(MAX_OPEN, Math.floor(SHARE * (readSoftFileLimit() - FOR_THE_REST)))) {
    this.#max = max;
  }

  /**
   * Returns a view of the real cgroups in which the files that are read stay open until `close`, as long as there is room;
   * other cgroups are returned as they are. The text of a control file is ASCII.
   */
  view(fs: CgroupFs): { fs: CgroupFs; close(): void } {
    if (fs.read !== realCgroupFs.read) return { fs, close() {} };
    const opened = new Map<string, number>();
    const drop = (path: string, fd: number): void => {
      closeSync(fd);
      opened.delete(path);
      this.#open--;
    };
    const read = (path: string): string => {
      let fd = opened.get(path);
      try {
        if (fd === undefined) {
          if (this.#open >= this.#max) return fs.read(path);
          fd = openSync(path, "r");
          opened.set(path, fd);
          this.#open++;
        }
        // The kernel makes the text again for each read from the start.
        return buffer.toString("latin1", 0, readSync(fd, buffer, 0, buffer.length, 0));
      } catch {
        // ENODEV: its cgroup is gone, and perhaps another one has its name.
        if (fd !== undefined) drop(path, fd);
        return fs.read(path);
      }
    };
    const close = () => {
      for (const [path, fd] of opened) drop(path, fd);
    };
    return { fs: { ...fs, read }, close };
  }
}
