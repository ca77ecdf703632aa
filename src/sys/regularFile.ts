import { closeSync, constants, fstatSync, lstatSync, openSync, type Stats } from "node:fs";
import { errnoOf } from "./errno.ts";

/** A path leads to something else than a file, which an open or a read could wait for. */
export class NotRegular extends Error {
  constructor(kind: string) {
    super(`it is ${kind}`);
  }
}

/** Names the type of a file: inode(7). */
export function kindOf(stats: Stats): string {
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isDirectory()) return "a directory";
  if (stats.isSocket()) return "a socket";
  if (stats.isSymbolicLink()) return "a symbolic link";
  return stats.isFile() ? "a regular file" : "a device";
}

/**
 * Opens a regular file without waiting and without following a link in its last part. Throws NotRegular for anything
 * else, and the errors of the file system.
 */
export function openRegular(path: string, flags: number, mode?: number): number {
  let fd: number;
  try {
    // O_NONBLOCK: the open of a FIFO waits for its other end, and that of some devices for their line.
    fd = openSync(path, flags | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY, mode);
  } catch (error) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    // ENXIO for a FIFO or socket, EISDIR, ELOOP: the errno alone does not say that.
    if (found === undefined || found.isFile() || errnoOf(error) === "EEXIST") throw error;
    throw new NotRegular(kindOf(found));
  }
  const stats = fstatSync(fd);
  if (stats.isFile()) return fd;
  closeSync(fd);
  throw new NotRegular(kindOf(stats));
}
