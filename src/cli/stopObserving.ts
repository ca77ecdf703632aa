import type { Context } from "../jobs/context.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { signalNumber } from "../sys/waitStatus.ts";
import { warn } from "./output/messages.ts";

/** The observer goes, the job does not. Returns the exit code that a shell expects of a signal. */
export function letGo(context: Context, job: RunningJob, signal: string): number {
  context.ledger.takeOver(job, null);
  context.ledger.addEvent(job, { atMs: context.host.now(), kind: "observer_left", detail: { signal } });
  context.ledger.close();
  warn(
    `${signal}: letting go of job ${job.jobId}. It goes on as PID ${job.process.pid}, with its limits. Follow it with: ffrtmp inspect ${job.jobId}`,
  );
  return 128 + (signalNumber(signal) ?? 0);
}
