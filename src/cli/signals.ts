import type { Context } from "../jobs/context.ts";
import { detailOfLeaving } from "../jobs/exit/observerLeft.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { findActiveDaemon } from "../jobs/recovery/recover.ts";
import type { Host } from "../linux/host.ts";
import { oneLine } from "../sys/visibleText.ts";
import { signalNumber } from "../sys/waitStatus.ts";
import { printErr, warn } from "./output/messages.ts";

/**
 * Settles with the name of the first signal that stops an observer, never a workload. From the call on, these
 * signals do not end the process. With `onHangUp`, SIGHUP calls that function instead, as usual for daemons.
 */
export function firstSignal(onHangUp?: () => void): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const isRequest = signal === "SIGHUP" && onHangUp !== undefined;
      process.on(signal, isRequest ? onHangUp : () => resolve(signal));
    }
  });
}

/** After this process continued, an end that is observed within this time may have been at any time since its stop. */
const CONTINUED_MS = 100;
/** The runtime reports a signal and the end of a child in any order, one loop apart. */
const SIGNAL_DELAY_MS = 2;

/**
 * Notices from now on when this process is stopped, as by Ctrl-Z, and continues. Returns a function to call at an end that
 * was just observed, which resolves to true when the end may have been during the stop.
 */
export function watchContinuations({ bootNow }: Host): () => Promise<boolean> {
  let continuedMs = Number.NEGATIVE_INFINITY;
  process.on("SIGCONT", () => {
    continuedMs = bootNow();
  });
  return async () => {
    await Bun.sleep(SIGNAL_DELAY_MS);
    return bootNow() - continuedMs < CONTINUED_MS;
  };
}

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
