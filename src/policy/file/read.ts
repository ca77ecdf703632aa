import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { describeErrno, errnoOf } from "../../sys/errno.ts";

/** A thousand rules have a fifth of this size. */
const MAX_BYTES = 1024 ** 2;

/** The text of a policy file. `unreadable` continues a sentence that begins with the path. */
export type PolicyText = { text: string } | { unreadable: string };

/** Reads at most one megabyte, from a regular file only. Never waits, as for the other end of a FIFO. */
export function readPolicyFile(path: string): PolicyText {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return { unreadable: explainOpen(error) };
  }
  try {
    return readOpened(fd);
  } catch (error) {
    return { unreadable: `cannot be read: ${describeErrno(error)}` };
  } finally {
    closeSync(fd);
  }
}

function readOpened(fd: number): PolicyText {
  const before = fstatSync(fd);
  if (before.isDirectory()) return { unreadable: "is a directory" };
  if (!before.isFile()) return { unreadable: "is not a regular file" };
  if (before.size > MAX_BYTES) return { unreadable: `has ${before.size} bytes; the maximum is ${MAX_BYTES}` };
  const bytes = new Uint8Array(MAX_BYTES + 1);
  let length = 0;
  for (;;) {
    const count = readSync(fd, bytes, length, bytes.length - length, null);
    if (count === 0) break;
    length += count;
  }
  // Half of a file can be valid and mean the opposite of the whole.
  const after = fstatSync(fd);
  if (length !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs)
    return { unreadable: "changed while it was being read: try again" };
  return decode(bytes.subarray(0, length));
}

function decode(bytes: Uint8Array): PolicyText {
  try {
    // This also removes a byte order mark.
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { unreadable: `is not UTF-8 text: line ${findInvalidLine(bytes)} is not valid` };
  }
}

/** Returns the line of the first byte that is not valid UTF-8. */
function findInvalidLine(bytes: Uint8Array): number {
  const decoded = new TextDecoder("utf-8").decode(bytes);
  const encoded = new TextEncoder().encode(decoded);
  let line = 1;
  for (let at = 0; at < bytes.length && bytes[at] === encoded[at]; at++) if (bytes[at] === 0x0a) line++;
  return line;
}

function explainOpen(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === "ENOENT") return "does not exist";
  if (errno === "EACCES" || errno === "EPERM") return `cannot be read by this user (${errno})`;
  return `cannot be opened: ${errno ?? String(error)}`;
}
