import { type AttachedJob, attach as takeUnderGovernance } from "../../jobs/attach/attach.ts";
import type { Context } from "../../jobs/context.ts";
import { JobObserver, type ObservedEnd } from "../../jobs/exit/jobObserver.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import { resultJson } from "../../jobs/json.ts";
import type { Job } from "../../jobs/model/job.ts";
import { summaryLine, survivorsLine } from "../../jobs/summary.ts";
import { startExitEvents } from "../../linux/events/exitEvents.ts";
import type { ProcessEvents } from "../../linux/events/processEvents.ts";
import { type JobFlags, jobSpecFromFlags } from "../options/jobOptions.ts";
import { printErr, printJson, warn } from "../output/messages.ts";
import { warnOfMissingLimits, warnOfSlips } from "../output/outcomes.ts";
import { openContext } from "../session.ts";
import { firstSignal, giveUpSignalsAloud } from "../signals.ts";
import { letGo } from "../stopObserving.ts";

const LOOK_FOR_DETACH_MS = 1000;

/** Governs a running process and observes it to its end, which is reported; the exit code is about us, not about it. */
export async function attach(flags: JobFlags & { pid: number }): Promise<number> {
  const context = openContext(flags);
  const spec = jobSpecFromFlags(flags, `pid-${flags.pid}-${Date.now().toString(36)}`);
  warnOfSlips(context, spec.limits);
  const signal = firstSignal();
  const attached = takeUnderGovernance(context, flags.pid, spec);
  const { job } = attached;
  warn(`governing PID ${job.process.pid} (${job.command[0]}) as job ${job.jobId}`);
  warnOfMissingLimits(job);

  const observation = await observe(context, attached);
  giveUpSignalsAloud();
  const end = await Promise.race([signal, observation.ending, detachOf(context, job)]);
  // A listener that leaves without a word stays counted in the kernel.
  await observation.events.stop();
  if (end === "detached") {
    warn(`job ${job.jobId} was released; PID ${job.process.pid} goes on`);
    return 0;
  }
  if (typeof end === "string") return letGo(context, job, end);
  const { result, isOurs, survivors } = recordExit(context, job, end.ending, { atEnd: end.measured });
  if (survivors.length > 0) warn(survivorsLine(job, survivors));
  if (isOurs && flags.json) printJson(resultJson(job, result));
  else if (isOurs) printErr(summaryLine(job, result));
  context.ledger.close();
  return 0;
}

/** Listens for the end of the job. The outer promise settles once that has begun, the inner with the end. */
async function observe(
  context: Context,
  { job, pidfd }: AttachedJob,
): Promise<{ events: ProcessEvents; ending: Promise<ObservedEnd> }> {
  const { promise, resolve } = Promise.withResolvers<ObservedEnd>();
  const events = await startExitEvents(context.host, (batch) => observer.take(batch));
  const observer = new JobObserver(context, events, resolve);
  observer.observe(job, pidfd);
  return { events, ending: promise };
}

/** Another ffrtmp may release the job; nothing but the ledger tells. */
async function detachOf(context: Context, { key }: Job): Promise<"detached"> {
  while (context.ledger.result({ key })?.ending.kind !== "detached") await Bun.sleep(LOOK_FOR_DETACH_MS);
  return "detached";
}
