import type { Context } from "../jobs/context.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { signalNumber } from "../sys/waitStatus.ts";
import { warn } from "./output/messages.ts";

/** Stops observing a job, which keeps running. Returns the exit code of a shell for this signal. */
export function stopObserving(context: Context, job: RunningJob, signal: string): number {
  context.ledger.takeOver(job, null);
  context.ledger.addEvent(job, { atMs: context.host.now(), kind: "observer_left", detail: { signal } });
  context.ledger.close();
  warn(
    `${signal}: no longer observing job ${job.jobId}, which keeps running as PID ${job.process.pid} under its limits. To follow it: ffrtmp inspect ${job.jobId}`,
  );
  return 128 + (signalNumber(signal) ?? 0);
}
