import { closeSync, constants, fstatSync, readFileSync, type Stats } from "node:fs";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { NotRegular, openRegular } from "../../sys/regularFile.ts";
import { type Parsed, parseInboxFile } from "./inboxRecord.ts";

/** A job with the longest command and many outcomes has 20 KB. */
const MAX_BYTES = 1024 ** 2;
/** Write permission of the group and of others: inode(7). */
const WRITABLE_FOR_OTHERS = 0o022;

export interface ReadFile {
  readonly parsed: Parsed;
  readonly size: number;
  readonly mtimeMs: number;
}

/**
 * Reads an inbox file, without following a link and without waiting. A file that another user than the owner of the
 * directory may have written is rejected unread. Throws errors that pass, such as EMFILE.
 */
export function readInboxFile(directory: string, name: string, owner: number): ReadFile | "gone" {
  let fd: number;
  try {
    fd = openRegular(`${directory}/${name}`, constants.O_RDONLY);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "gone";
    if (!(error instanceof NotRegular) && !isLasting(error)) throw error;
    const reason = error instanceof NotRegular ? error.message : describeErrno(error);
    return { parsed: { rejected: reason, isDamaged: false }, size: 0, mtimeMs: 0 };
  }
  try {
    const stats = fstatSync(fd);
    const fault = findFault(stats, owner);
    const parsed = fault
      ? { rejected: fault, isDamaged: false }
      : parseInboxFile(name, readFileSync(fd, "utf8"));
    return { parsed, size: stats.size, mtimeMs: stats.mtimeMs };
  } finally {
    closeSync(fd);
  }
}

/** Returns whether an error of the file system stays until the operator changes something. */
export function isLasting(error: unknown): boolean {
  return ["EACCES", "EPERM", "ENOTDIR", "ELOOP"].includes(errnoOf(error) ?? "");
}

function findFault({ uid, mode, size }: Stats, owner: number): string | undefined {
  if (uid !== owner) return `it belongs to uid ${uid}, and its directory to uid ${owner}`;
  if ((mode & WRITABLE_FOR_OTHERS) !== 0)
    return `other users can change it (mode ${(mode & 0o7777).toString(8)})`;
  return size > MAX_BYTES ? `it has ${size} bytes, and at most ${MAX_BYTES} are read` : undefined;
}
