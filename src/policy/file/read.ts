import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { describeErrno, errnoOf } from "../../sys/errno.ts";

/** A thousand rules take a fifth of it. */
const MOST_BYTES = 1024 ** 2;

/** The text of a policy file, or why there is none, as the end of a sentence that begins with its path. */
export type PolicyText = { text: string } | { unreadable: string };

/** Reads at most one megabyte, and waits for nobody: what is no regular file is not read. */
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
  if (!before.isFile()) return { unreadable: "is no regular file" };
  if (before.size > MOST_BYTES) return { unreadable: tooLarge(before.size) };
  const bytes = new Uint8Array(MOST_BYTES + 1);
  let length = 0;
  for (;;) {
    const count = readSync(fd, bytes, length, bytes.length - length, null);
    if (count === 0) break;
    length += count;
  }
  // Half of a file can be valid, and say the contrary of the whole.
  const after = fstatSync(fd);
  if (length !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs)
    return { unreadable: "was written to while it was being read: try again" };
  return decode(bytes.subarray(0, length));
}

function decode(bytes: Uint8Array): PolicyText {
  try {
    // Also takes away a byte order mark.
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    const line = countLines(bytes);
    return { unreadable: `is no UTF-8 text: the bytes of line ${line} are none` };
  }
}

/** The line of the first byte that is not UTF-8. */
function countLines(bytes: Uint8Array): number {
  const decoded = new TextDecoder("utf-8").decode(bytes);
  const encoded = new TextEncoder().encode(decoded);
  let line = 1;
  for (let at = 0; at < bytes.length && bytes[at] === encoded[at]; at++) if (bytes[at] === 0x0a) line++;
  return line;
}

function tooLarge(size: number): string {
  return `has ${size} bytes, and ${MOST_BYTES} are the most that is read as a policy`;
}

function explainOpen(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === "ENOENT") return "does not exist";
  if (errno === "EACCES" || errno === "EPERM") return `may not be read by this user (${errno})`;
  return `cannot be opened: ${errno ?? String(error)}`;
}
