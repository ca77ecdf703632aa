import { readSoftFileLimit } from "../../sys/fileLimit.ts";
import type { CgroupFs, KeptFile } from "../cgroupFs.ts";

/** The kernel keeps a buffer of a page for each open file: 16 MB in all. */
const MAX_OPEN = 4000;
/** The part of the limit on open files that these may take. */
const SHARE = 1 / 4;

/** Control files that stay open because they are read again and again. Opening one takes most of the time of a read. */
export class KeptFiles {
  readonly #max: number;
  #open = 0;

  constructor(max = Math.min(MAX_OPEN, Math.floor(SHARE * readSoftFileLimit()))) {
    this.#max = max;
  }

  /** Returns a view of cgroups in which the files that are read stay open until `close`, as long as there is room. */
  view(fs: CgroupFs): { fs: CgroupFs; close(): void } {
    const files = new Map<string, KeptFile>();
    const drop = (path: string, file: KeptFile): void => {
      file.close();
      files.delete(path);
      this.#open--;
    };
    const read = (path: string): string => {
      const kept = files.get(path);
      if (kept === undefined) {
        if (this.#open >= this.#max || fs.keepOpen === undefined) return fs.read(path);
        const file = fs.keepOpen(path);
        files.set(path, file);
        this.#open++;
        return file.read();
      }
      try {
        return kept.read();
      } catch {
        // Its cgroup is gone, and perhaps another one has its name.
        drop(path, kept);
        return fs.read(path);
      }
    };
    const close = () => {
      for (const [path, file] of files) drop(path, file);
    };
    return { fs: { ...fs, read }, close };
  }
}
