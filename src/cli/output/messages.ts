import { writeSync } from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import { escapeLines, oneLine } from "../../sys/visibleText.ts";

/** Messages of ffrtmp go to stderr. stdout is for results and, with `run`, for the workload. */

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

/** Prints lines. The caller keeps the newlines of what others have named out of them: see `oneLine`. */
export function printErr(text: string): void {
  // A full disk or a closed pipe must not disturb governing.
  writeWhole(2, `${escapeLines(text)}\n`);
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
  const errno = writeWhole(1, output);
  stdoutErrno ??= errno;
  return errno === undefined;
}

/** Returns the errno of a failed write to stdout. A reader that closed the pipe is no fault. */
export function faultOfStdout(): string | undefined {
  return stdoutErrno === "EPIPE" ? undefined : stdoutErrno;
}

let stdoutErrno: string | undefined;

/**
 * Writes everything before it returns, without the runtime's streams: these cost milliseconds at start, and
 * exit would discard what they buffer. Returns the errno of a write that failed.
 */
function writeWhole(fd: number, output: string | Uint8Array): string | undefined {
  const bytes = typeof output === "string" ? new TextEncoder().encode(output) : output;
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      const errno = errnoOf(error) ?? String(error);
      if (errno !== "EAGAIN") return errno;
      Bun.sleepSync(1);
    }
  }
  return undefined;
}
