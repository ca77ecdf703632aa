import type { Context } from "../jobs/context.ts";
import { detailOfLeaving } from "../jobs/exit/observerLeft.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import type { Host } from "../linux/host.ts";
import { signalNumber } from "../sys/waitStatus.ts";
import { warn } from "./output/messages.ts";

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
  context.ledger.close();
  const { jobId, process } = job;
  const continues = `job ${jobId}, which keeps running as PID ${process.pid} under its limits`;
  warn(`${signal}: no longer observing ${continues}. To follow it: ffrtmp inspect ${jobId}`);
  return 128 + (signalNumber(signal) ?? 0);
}
