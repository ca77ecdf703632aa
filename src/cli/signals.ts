import type { Context } from "../jobs/context.ts";
import { detailOfLeaving } from "../jobs/exit/observerLeft.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { findActiveDaemon } from "../jobs/recovery/recover.ts";
import { oneLine } from "../sys/visibleText.ts";
import { signalNumber } from "../sys/waitStatus.ts";
import { printErr, warn } from "./output/messages.ts";

/** Stops observing a job. Returns the exit code of a shell for this signal. */
export function stopObserving(context: Context, job: RunningJob, signal: string): number {
  context.ledger.takeOver(job, null);
  const times = { atMs: context.host.now(), atBootMs: context.host.bootNow() };
  context.ledger.addEvent(job, { ...times, kind: "observer_left", detail: detailOfLeaving(signal) });
  const hasDaemon = findActiveDaemon(context) !== undefined;
  context.ledger.close();
  const { jobId, process, mode } = job;
  // `run` starts its workload in a process group of its own.
  const group = mode === "run" ? `-- -${process.pid}` : `${process.pid}`;
  warn(`${signal}: stopped waiting; job ${jobId} keeps running under its limits (PID ${process.pid})`);
  // A daemon observes the job from now on. Without one, its exit code is lost unless an attach observes it.
  printErr(`  follow it: ffrtmp ${hasDaemon ? "wait" : "attach --job"} ${oneLine(jobId)}`);
  printErr(`  stop it:   kill ${group}`);
  return 128 + (signalNumber(signal) ?? 0);
}
