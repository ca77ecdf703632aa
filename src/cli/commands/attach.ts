import { type AttachedJob, attach as takeUnderGovernance } from "../../jobs/attach/attach.ts";
import type { Governor } from "../../jobs/context.ts";
import { JobObserver, type ObservedEnd } from "../../jobs/exit/jobObserver.ts";
import { closeJob } from "../../jobs/exit/recordExit.ts";
import { resultJson } from "../../jobs/json.ts";
import { summaryLine, survivorsLine } from "../../jobs/summary.ts";
import type { JobRecord } from "../../ledger/records.ts";
import { startExitEvents } from "../../linux/events/exitEvents.ts";
import type { ProcessEvents } from "../../linux/events/processEvents.ts";
import { type JobFlags, wishesFrom } from "../options/jobOptions.ts";
import { printErr, printJson, warn } from "../output/messages.ts";
import { warnOfMissingLimits, warnOfSlips } from "../output/outcomes.ts";
import { openGovernor } from "../session.ts";
import { firstSignal, giveUpSignalsAloud } from "../signals.ts";
import { letGo } from "../stopObserving.ts";

const LOOK_FOR_DETACH_MS = 1000;

/** Governs a running process and observes it to its end, which is reported; the exit code is about us, not about it. */
export async function attach(flags: JobFlags & { pid: number }): Promise<number> {
  const governor = openGovernor(flags);
  const wishes = wishesFrom(flags, `pid-${flags.pid}-${Date.now().toString(36)}`);
  warnOfSlips(governor, wishes.limits);
  const signal = firstSignal();
  const attached = takeUnderGovernance(governor, flags.pid, "attach", wishes);
  const { job } = attached;
  warn(`governing PID ${job.pid} (${job.command[0]}) as job ${job.jobId}`);
  warnOfMissingLimits(job);

  const observation = await observe(governor, attached);
  giveUpSignalsAloud();
  const end = await Promise.race([signal, observation.ending, detachOf(governor, job)]);
  // A listener that leaves without a word stays counted in the kernel.
  await observation.events.stop();
  if (end === "detached") {
    warn(`job ${job.jobId} was released; PID ${job.pid} goes on`);
    return 0;
  }
  if (typeof end === "string") return letGo(governor, job, end);
  const { result, isOurs, survivors } = closeJob(governor, job, end.ending, { atEnd: end.measured });
  if (survivors.length > 0) warn(survivorsLine(job, survivors));
  if (isOurs && flags.json) printJson(resultJson(job, result));
  else if (isOurs) printErr(summaryLine(job, result));
  governor.ledger.close();
  return 0;
}

/** Listens for the end of the job. The outer promise settles once that has begun, the inner with the end. */
async function observe(
  governor: Governor,
  { job, pidfd }: AttachedJob,
): Promise<{ events: ProcessEvents; ending: Promise<ObservedEnd> }> {
  const { promise, resolve } = Promise.withResolvers<ObservedEnd>();
  const events = await startExitEvents(governor.host, (batch) => observer.take(batch));
  const observer = new JobObserver(governor, events, resolve);
  observer.observe(job, pidfd);
  return { events, ending: promise };
}

/** Another ffrtmp may release the job; nothing but the ledger tells. */
async function detachOf(governor: Governor, { key }: JobRecord): Promise<"detached"> {
  while (governor.ledger.result({ key })?.ending !== "detached") await Bun.sleep(LOOK_FOR_DETACH_MS);
  return "detached";
}
