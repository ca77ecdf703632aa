import type { Governor } from "../jobs/context.ts";
import type { JobRecord } from "../ledger/records.ts";
import { signalNumber } from "../sys/waitStatus.ts";
import { warn } from "./output/messages.ts";

/** The observer goes, the job does not. Returns the exit code that a shell expects of a signal. */
export function letGo(governor: Governor, job: JobRecord, signal: string): number {
  governor.ledger.takeOver(job, null);
  governor.ledger.addEvent(job, governor.host.now(), "observer_left", { signal });
  governor.ledger.close();
  warn(
    `${signal}: letting go of job ${job.jobId}. It goes on as PID ${job.pid}, with its limits. Follow it with: ffrtmp inspect ${job.jobId}`,
  );
  return 128 + (signalNumber(signal) ?? 0);
}
