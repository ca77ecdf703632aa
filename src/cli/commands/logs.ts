import { closeSync, constants, readSync } from "node:fs";
import { Refusal } from "../../jobs/errors.ts";
import { describeErrno } from "../../sys/errno.ts";
import { openRegular } from "../../sys/regularFile.ts";
import { findJob } from "../findJobs.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { writeOut } from "../output/messages.ts";
import { openToRead } from "../session.ts";

const POLL_MS = 200;

/** Prints the output of a background job, byte for byte. */
export async function logs(name: string, flags: CommonFlags & { follow?: boolean }): Promise<number> {
  const context = openToRead(flags);
  const { logPath, key, jobId } = findJob(context, name);
  const noLog = `job ${jobId} has no log: only run --detach captures output`;
  if (logPath === null) throw new Refusal(noLog, "start the job with: ffrtmp run --detach");
  const fd = open(logPath);
  for (;;) {
    // Read the state before copying, so that everything written before the end is copied.
    const isOver = context.ledger.job(key)?.state === "ended" || findJob(context, jobId).state === "ended";
    if (!copyToStdout(fd) || !flags.follow || isOver) break;
    await Bun.sleep(POLL_MS);
  }
  closeSync(fd);
  context.ledger.close();
  return 0;
}

function open(path: string): number {
  try {
    return openRegular(path, constants.O_RDONLY);
  } catch (error) {
    throw new Refusal(`cannot read the log ${path}: ${describeErrno(error)}`);
  }
}

/** Returns false when stdout accepts no more. */
function copyToStdout(fd: number): boolean {
  const buffer = new Uint8Array(64 * 1024);
  for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
    if (!writeOut(buffer.subarray(0, length))) return false;
  }
  return true;
}
