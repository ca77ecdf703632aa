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

/** The kernel makes the whole text again for each read from the start. */
function readText(fd: number): string {
  return buffer.toString("latin1", 0, readSync(fd, buffer, 0, buffer.length, 0));
}

/** Without the second read that finds the end of an ordinary file. */
function readOnce(path: string): string {
  const fd = openSync(path, "r");
  try {
    return readText(fd);
  } finally {
    closeSync(fd);
  }
}

/** The files of one job. */
export interface FileView {
  readonly fs: CgroupFs;
  /** Closes the files in one directory. */
  closeIn(directory: string): void;
  /** Closes all. */
  close(): void;
}

/** Control files that stay open because they are read again and again. Opening one takes most of the time of a read. */
export class KeptFiles {
  readonly #max: number;
  #open = 0;
  /** Closes files that are read seldom, by descriptor, the one first that was opened first. */
  readonly #seldom = new Map<number, () => void>();

  constructor(max = Math.min(MAX_OPEN, Math.floor(SHARE * (readSoftFileLimit() - FOR_THE_REST)))) {
    this.#max = max;
  }

  /**
   * Returns a view of the real cgroups in which the files that are read stay open until `close`, as long as there is room;
   * other cgroups are returned as they are. `seldom`: the files are closed as soon as others need their room. The text of a
   * control file is ASCII.
   */
  view(fs: CgroupFs, how: "often" | "seldom" = "often"): FileView {
    if (fs.read !== realCgroupFs.read) return { fs, close() {}, closeIn() {} };
    // By directory and file, whose names are the same texts in each reading. To join them would make a new text each time.
    const opened = new Map<string, Map<string, number>>();
    const drop = (files: Map<string, number>, file: string, fd: number): void => {
      closeSync(fd);
      files.delete(file);
      this.#seldom.delete(fd);
      this.#open--;
    };
    const open = (directory: string, file: string): number | undefined => {
      if (this.#open >= this.#max && (how === "seldom" || !this.#makeRoom())) return undefined;
      const fd = openSync(`${directory}/${file}`, "r");
      const files = opened.get(directory) ?? new Map<string, number>();
      opened.set(directory, files.set(file, fd));
      if (how === "seldom") this.#seldom.set(fd, () => drop(files, file, fd));
      this.#open++;
      return fd;
    };
    const readIn = (directory: string, file: string): string => {
      const files = opened.get(directory);
      const known = files?.get(file);
      try {
        const fd = known ?? open(directory, file);
        return fd === undefined ? readOnce(`${directory}/${file}`) : readText(fd);
      } catch {
        // ENODEV: its cgroup is gone, and perhaps another one has its name.
        if (files !== undefined && known !== undefined) drop(files, file, known);
        return fs.read(`${directory}/${file}`);
      }
    };
    const read = (path: string): string => {
      const end = path.lastIndexOf("/");
      return readIn(path.slice(0, end), path.slice(end + 1));
    };
    const closeIn = (directory: string) => {
      const files = opened.get(directory);
      for (const [file, fd] of files ?? []) drop(files as Map<string, number>, file, fd);
      opened.delete(directory);
    };
    const close = () => {
      for (const directory of opened.keys()) closeIn(directory);
    };
    return { fs: { ...fs, read, readIn }, close, closeIn };
  }

  /** Closes a file that is read seldom. Returns false where there is none. */
  #makeRoom(): boolean {
    const [closeOne] = this.#seldom.values();
    closeOne?.();
    return this.#open < this.#max;
  }
}
