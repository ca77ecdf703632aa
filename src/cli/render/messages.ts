import { writeSync } from "node:fs";
import { errnoOf } from "../../kernel/host.ts";

/** Everything that ffrtmp says about itself goes to stderr: stdout belongs to results, and with `run` to the workload. */

export function warn(message: string): void {
  printErr(`ffrtmp: ${message}`);
}

export function printError(message: string, hint: string | undefined): void {
  printErr(`ffrtmp: ${message}${hint === undefined ? "" : `\n  try: ${hint}`}`);
}

export function printOut(text: string): void {
  writeLine(STDOUT, text);
}

export function printJson(value: unknown): void {
  printOut(JSON.stringify(value, undefined, 2));
}

export function printErr(text: string): void {
  writeLine(STDERR, text);
}

const STDOUT = 1;
const STDERR = 2;

/** Written at once and whole, without the runtime's streams: they cost milliseconds at start, and exit would cut them off. */
function writeLine(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      // A closed pipe or a full disk behind our own output must not disturb the governing.
      if (errnoOf(error) !== "EAGAIN") return;
      Bun.sleepSync(1);
    }
  }
}
