import { writeSync } from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import { writeIfRoom } from "../../sys/output.ts";
import { escapeLines, oneLine } from "../../sys/visibleText.ts";

/** Messages of ffrtmp go to stderr. stdout is for results and, with `run`, for the workload. */

const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;
/** A reader that is alive makes room sooner. A caller of `run` must not wait longer for the exit code. */
const DEFAULT_WAIT_MS = 100;

export function warn(message: string): void {
  listener?.(message);
  printErr(`ffrtmp: ${oneLine(message)}`);
}

let listener: ((message: string) => void) | undefined;

/** Passes each later warning to `listen` too. */
export function listenToWarnings(listen: typeof listener): void {
  listener = listen;
}

/** Prints a message and a hint, one line each, whatever process and file names they contain. */
export function printError(message: string, hint?: string): void {
  printErr(`ffrtmp: ${oneLine(message)}${hint === undefined ? "" : `\n  try: ${oneLine(hint)}`}`);
}

/**
 * Writes a message to stderr, whose reader may have stopped. A message without room is dropped, and the number of
 * dropped messages is reported with the next one that has room. After a wait without success none waits until then.
 * The caller keeps the newlines of what others have named out of the text: see `oneLine`.
 */
export function printErr(text: string): void {
  rest = rest.subarray(writeToStderr(rest));
  const missing = dropped === 0 ? "" : `ffrtmp: stderr had no room for ${dropped} messages before this one\n`;
  const message = new TextEncoder().encode(`${missing}${escapeLines(text)}\n`);
  const written = rest.length > 0 ? 0 : writeToStderr(message);
  if (written === 0) dropped++;
  else {
    dropped = 0;
    rest = message.subarray(written);
  }
}

/** Makes messages never wait for room on stderr, for a daemon that must not wait for a reader. */
export function neverWaitForStderr(): void {
  waitMs = 0;
}

let waitMs = DEFAULT_WAIT_MS;
let isStalled = false;
let dropped = 0;
/** The end of the last message, when there was room only for its start. */
let rest = new Uint8Array();

/** Returns how many bytes were written. A full disk or a closed pipe must not disturb governing: it gets all. */
function writeToStderr(bytes: Uint8Array): number {
  for (let written = 0; written < bytes.length; ) {
    const result = tryToWrite(bytes.subarray(written));
    if (result === -EINTR) continue;
    isStalled = result === -EAGAIN;
    if (isStalled) return written;
    if (result < 0) break;
    written += result;
  }
  return bytes.length;
}

function tryToWrite(bytes: Uint8Array): number {
  try {
    return writeIfRoom(2, bytes, isStalled ? 0 : waitMs);
  } catch {
    // Without the C library, ffrtmp ends with the message that says so. That one may wait.
    return writeDirectly(bytes);
  }
}

function writeDirectly(bytes: Uint8Array): number {
  try {
    return writeSync(2, bytes);
  } catch {
    return -EIO;
  }
}

/** Prints lines, as `printErr` does. */
export function printOut(text: string): void {
  writeOut(`${escapeLines(text)}\n`);
}

export function printJson(value: unknown): void {
  printOut(JSON.stringify(value, undefined, 2));
}

/** Returns true if stdout accepted everything; otherwise `faultOfStdout` returns the reason. */
export function writeOut(output: string | Uint8Array): boolean {
  const errno = writeWhole(output);
  stdoutErrno ??= errno;
  return errno === undefined;
}

/** Returns the errno of a failed write to stdout. A reader that closed the pipe is no fault. */
export function faultOfStdout(): string | undefined {
  return stdoutErrno === "EPIPE" ? undefined : stdoutErrno;
}

let stdoutErrno: string | undefined;

/**
 * Writes everything to stdout before it returns, without the runtime's streams: these cost milliseconds at start, and
 * exit would discard what they buffer. Returns the errno of a write that failed.
 */
function writeWhole(output: string | Uint8Array): string | undefined {
  const bytes = typeof output === "string" ? new TextEncoder().encode(output) : output;
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      const errno = errnoOf(error) ?? String(error);
      if (errno !== "EAGAIN") return errno;
      Bun.sleepSync(1);
    }
  }
  return undefined;
}
