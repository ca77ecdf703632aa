import { formatDuration } from "../../jobs/duration.ts";
import { resultJson } from "../../jobs/json.ts";
import { exitCodeOf } from "../../jobs/model/ending.ts";
import { summaryLine } from "../../jobs/summary.ts";
import { firstSignal } from "../../sys/ownSignals.ts";
import { signalNumber } from "../../sys/waitStatus.ts";
import { denySignals } from "../denySignals.ts";
import { findJob } from "../findJobs.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { timeOptions } from "../options/timeOptions.ts";
import { printOut, warn } from "../output/messages.ts";
import { openToRead } from "../session.ts";
import { JobWaiter, type WaitedEnd } from "./jobWaiter.ts";

/** As timeout(1). */
const TIMED_OUT = 124;

export interface WaitFlags extends CommonFlags {
  any?: boolean;
  timeout?: string;
  quiet?: boolean;
}

/** Waits until jobs have ended, prints the line of each, and returns the exit code of the last one that was named. */
export async function wait(jobIds: string[], flags: WaitFlags): Promise<number> {
  const timeoutMs = flags.timeout === undefined ? undefined : timeOptions.timeout(flags.timeout);
  const context = openToRead(flags);
  const jobs = jobIds.map((jobId) => findJob(context, jobId));
  const interrupted = firstSignal();
  const ends = new Map<string, WaitedEnd>();
  const all = Promise.withResolvers<"ended">();
  const waiter = await JobWaiter.start(context, jobs, (end) => {
    // With --any, the first one decides.
    if (flags.any && ends.size > 0) return;
    ends.set(end.job.key, end);
    report(end, flags);
    if (flags.any || jobs.every(({ key }) => ends.has(key))) all.resolve("ended");
  });
  denySignals();
  const timeout = Promise.withResolvers<"timeout">();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => timeout.resolve("timeout"), timeoutMs);
  const outcome = await Promise.race([all.promise, interrupted, timeout.promise]);
  clearTimeout(timer);
  await waiter.stop();
  context.ledger.close();
  const last = jobs.map(({ key }) => ends.get(key)).findLast((end) => end !== undefined);
  if (outcome === "ended" && last !== undefined) return exitCodeOf(last.result.ending);
  const left = jobs.filter(({ key }) => !ends.has(key)).map(({ jobId }) => jobId);
  const rest = `not ended yet: ${[...new Set(left)].join(", ")}`;
  if (outcome === "timeout") {
    warn(`no longer waiting after ${formatDuration(timeoutMs ?? 0)}; ${rest}`);
    return TIMED_OUT;
  }
  warn(`${outcome}: no longer waiting; ${rest}`);
  return 128 + (signalNumber(outcome) ?? 0);
}

function report({ job, result }: WaitedEnd, { json, quiet }: WaitFlags): void {
  if (quiet) return;
  printOut(json ? JSON.stringify(resultJson(job, result)) : summaryLine(job, result));
}
