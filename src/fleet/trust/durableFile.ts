import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { describeErrno, errnoOf } from "../../sys/errno.ts";

/**
 * Writes a file as a whole: a reader finds the old content or the new one, also after a crash of the machine. One writer for
 * each file. Throws errors of the file system; then the file has the old content.
 */
export function writeWhole(path: string, content: string | Uint8Array, mode: number): void {
  const draft = `${path}.new`;
  // Left by a writer that was killed.
  rmSync(draft, { force: true });
  try {
    writeFileSync(draft, content, { mode, flag: "wx", flush: true });
    // Whatever the umask is.
    chmodSync(draft, mode);
    renameSync(draft, path);
  } catch (error) {
    // On a full disk, a part of a file takes the place that others need.
    rmSync(draft, { force: true });
    throw error;
  }
  const directory = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/**
 * Reads a file of a user who is not trusted: a regular file of at most `maxBytes`, and no link. It never waits, as for the other
 * end of a FIFO. `missing`: there is none. `fault` continues a sentence that begins with the path.
 */
export function readForeign(
  path: string,
  maxBytes: number,
): { bytes: Buffer } | { fault: string } | "missing" {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return "missing";
    return { fault: errno === "ELOOP" ? "is a link" : `cannot be opened: ${describeErrno(error)}` };
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return { fault: "is not a regular file" };
    if (stats.size > maxBytes) return { fault: `has more than ${maxBytes} bytes` };
    // One byte more shows that the file grows meanwhile.
    const bytes = Buffer.alloc(stats.size + 1);
    let length = 0;
    for (let count = -1; count !== 0; length += count)
      count = readSync(fd, bytes, length, bytes.length - length, null);
    if (length > stats.size) return { fault: "grows while it is read" };
    return { bytes: bytes.subarray(0, length) };
  } catch (error) {
    return { fault: `cannot be read: ${describeErrno(error)}` };
  } finally {
    closeSync(fd);
  }
}
