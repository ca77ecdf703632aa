import { errnoName } from "../../sys/errno.ts";
import { syscall } from "../../sys/libc.ts";
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
  writeWarning(message);
}

let writeWarning = (message: string): void => printErr(`ffrtmp: ${oneLine(message)}`);

/** Passes each later warning to `write` in place of stderr: a daemon has a log. */
export function writeWarningsTo(write: (message: string) => void): void {
  writeWarning = write;
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
  stderr.print(escapeLines(text));
}

/** Makes messages never wait for room on stderr, for a daemon that must not wait for a reader. */
export function neverWaitForStderr(): void {
  waitMs = 0;
}

let waitMs = DEFAULT_WAIT_MS;

/** Messages to a descriptor whose reader may have stopped. */
export class MessageStream {
  // Declared only, and set by the constructor: the runtime compiles each list of fields that a class sets itself, 0.07 ms.
  declare private readonly fd: number;
  declare private readonly describeLoss: (count: number) => string;
  declare private isStalled: boolean;
  declare private dropped: number;
  /** The end of the last message, when there was room only for its start. */
  declare private rest: Uint8Array;

  constructor(fd: number, describeLoss: (count: number) => string) {
    this.fd = fd;
    this.describeLoss = describeLoss;
    this.isStalled = false;
    this.dropped = 0;
    this.rest = new Uint8Array();
  }

  /** Prints a message as `printErr` does. */
  print(text: string): void {
    this.rest = this.rest.subarray(this.write(this.rest));
    const missing = this.dropped === 0 ? "" : `${this.describeLoss(this.dropped)}\n`;
    const message = new TextEncoder().encode(`${missing}${text}\n`);
    const written = this.rest.length > 0 ? 0 : this.write(message);
    if (written === 0) this.dropped++;
    else {
      this.dropped = 0;
      this.rest = message.subarray(written);
    }
  }

  /** Returns how many bytes were written. A full disk or a closed pipe must not disturb governing: it gets all. */
  private write(bytes: Uint8Array): number {
    for (let written = 0; written < bytes.length; ) {
      const result = this.tryToWrite(bytes.subarray(written));
      if (result === -EINTR) continue;
      this.isStalled = result === -EAGAIN;
      if (this.isStalled) return written;
      if (result < 0) break;
      written += result;
    }
    return bytes.length;
  }

  private tryToWrite(bytes: Uint8Array): number {
    try {
      return writeIfRoom(this.fd, bytes, this.isStalled ? 0 : waitMs);
    } catch {
      // Without the C library, ffrtmp ends with the message that says so. That one may wait.
      return this.writeDirectly(bytes);
    }
  }

  private writeDirectly(bytes: Uint8Array): number {
    const { writeSync } = require("node:fs") as typeof import("node:fs");
    try {
      return writeSync(this.fd, bytes);
    } catch {
      return -EIO;
    }
  }
}

const stderr = new MessageStream(
  2,
  (count) => `ffrtmp: stderr had no room for ${count} messages before this one`,
);

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
    const rest = bytes.subarray(written);
    const result = syscall("write", 1, rest, rest.length);
    if (result >= 0) written += result;
    else if (result === -EAGAIN) Bun.sleepSync(1);
    else if (result !== -EINTR) return errnoName(result);
  }
  return undefined;
}
