import { writeSync } from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import { oneLine } from "./table.ts";

/** Everything that ffrtmp says about itself goes to stderr: stdout belongs to results, and with `run` to the workload. */

export function warn(message: string): void {
  listener?.(message);
  printErr(`ffrtmp: ${oneLine(message)}`);
}

/** Who else is told of each warning from now on. */
export function listenToWarnings(listen: ((message: string) => void) | undefined): void {
  listener = listen;
}

let listener: ((message: string) => void) | undefined;

/** The message and the hint take one line each, whatever names of processes and files stand in them. */
export function printError(message: string, hint: string | undefined): void {
  printErr(`ffrtmp: ${oneLine(message)}${hint === undefined ? "" : `\n  try: ${oneLine(hint)}`}`);
}

export function printErr(text: string): void {
  // A full disk behind the log, or nobody who reads it, must not disturb the governing.
  writeWhole(STDERR, encodeLine(text));
}

export function printOut(text: string): void {
  writeOut(encodeLine(text));
}

export function printJson(value: unknown): void {
  printOut(JSON.stringify(value, undefined, 2));
}

/** Returns whether stdout took all of it. Why it did not is told by `faultOfStdout`. */
export function writeOut(bytes: Uint8Array): boolean {
  const errno = writeWhole(STDOUT, bytes);
  stdoutErrno ??= errno;
  return errno === undefined;
}

/** Why output is missing on stdout. A reader that has left has seen what it wanted: that is no fault. */
export function faultOfStdout(): string | undefined {
  return stdoutErrno === "EPIPE" ? undefined : stdoutErrno;
}

let stdoutErrno: string | undefined;

const STDOUT = 1;
const STDERR = 2;

/**
 * Written at once and whole, without the runtime's streams: they cost milliseconds at start, and exit would cut them
 * off. Returns the errno that ended it early.
 */
function writeWhole(fd: number, bytes: Uint8Array): string | undefined {
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

function encodeLine(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\n`);
}
