import { closeSync, constants, fstatSync, readSync } from "node:fs";
import type { Job } from "../../jobs/model/job.ts";
import { describeErrno } from "../../sys/errno.ts";
import { openRegular } from "../../sys/regularFile.ts";

/** The end of a log that is read: some screens of it. */
const MAX_BYTES = 64 * 1024;

/** Returns the last lines of the log of a job, or why they cannot be shown. */
export function readLogEnd({ logPath, jobId }: Job): { lines: string[] } | { because: string } {
  if (logPath === null) return { because: `job ${jobId} has no log: only run --detach captures output` };
  try {
    const fd = openRegular(logPath, constants.O_RDONLY);
    try {
      return { lines: linesOf(readEnd(fd)) };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { because: `cannot read the log ${logPath}: ${describeErrno(error)}` };
  }
}

function readEnd(fd: number): string {
  const { size } = fstatSync(fd);
  const buffer = new Uint8Array(MAX_BYTES);
  const startBytes = Math.max(0, size - MAX_BYTES);
  const length = readSync(fd, buffer, 0, buffer.length, startBytes);
  const text = new TextDecoder().decode(buffer.subarray(0, length));
  // The first line is only the end of one.
  return startBytes === 0 ? text : text.slice(text.indexOf("\n") + 1);
}

/** Returns the lines as a terminal shows them: a status line that was written over itself many times is one line. */
export function linesOf(text: string): string[] {
  const lines = text.replace(/\r?\n$/, "").split("\n");
  return lines.map((line) => {
    const parts = line.replace(/\r+$/, "").split("\r");
    return (parts.at(-1) ?? "").replaceAll("\t", "    ");
  });
}
