import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { describeErrno, errnoOf } from "../../sys/errno.ts";

/** A thousand rules have a fifth of this size. */
const MAX_BYTES = 1024 ** 2;

/** The text of a policy file. `unreadable` continues a sentence that begins with the path. */
type PolicyText = { text: string } | { unreadable: string };

/** Reads at most one megabyte, from a regular file only. Never waits, as for the other end of a FIFO. */
export function readPolicyFile(path: string): PolicyText {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return readOpened(fd);
  } catch (error) {
    const errno = errnoOf(error);
    if (fd !== undefined) return { unreadable: `cannot be read: ${describeErrno(error)}` };
    if (errno === "ENOENT") return { unreadable: "does not exist" };
    if (errno === "EACCES" || errno === "EPERM")
      return { unreadable: `cannot be read by this user (${errno})` };
    return { unreadable: `cannot be opened: ${errno ?? String(error)}` };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function readOpened(fd: number): PolicyText {
  const before = fstatSync(fd);
  if (before.isDirectory()) return { unreadable: "is a directory" };
  if (!before.isFile()) return { unreadable: "is not a regular file" };
  if (before.size > MAX_BYTES) return { unreadable: `has ${before.size} bytes; the maximum is ${MAX_BYTES}` };
  const bytes = Buffer.alloc(MAX_BYTES + 1);
  let length = 0;
  for (let count = -1; count !== 0; length += count) {
    count = readSync(fd, bytes, length, bytes.length - length, null);
  }
  // Half of a file can be valid and mean the opposite of the whole.
  const after = fstatSync(fd);
  if (length !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs)
    return { unreadable: "changed while it was being read: try again" };
  return decode(bytes.subarray(0, length));
}

function decode(bytes: Buffer): PolicyText {
  // This also removes a byte order mark.
  if (isUtf8(bytes)) return { text: new TextDecoder().decode(bytes) };
  // In UTF-8, the byte of a line break is part of no other character.
  const lines = bytes.toString("latin1").split("\n");
  const line = 1 + lines.findIndex((text) => !isUtf8(Buffer.from(text, "latin1")));
  return { unreadable: `is not UTF-8 text: line ${line} is not valid` };
}
