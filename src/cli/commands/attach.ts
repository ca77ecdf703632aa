import { attach as attachToProcess, withAttachLock } from "../../jobs/attach/attach.ts";
import type { Context } from "../../jobs/context.ts";
import { JobObserver, type ObservedEnd } from "../../jobs/exit/jobObserver.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import { resultJson } from "../../jobs/json.ts";
import type { Job } from "../../jobs/model/job.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { summaryLine, survivorsLine } from "../../jobs/summary.ts";
import { startExitEvents } from "../../linux/events/bestEvents.ts";
import type { Host } from "../../linux/host.ts";
import { CollectedSlowFacts, type SlowFacts } from "../../linux/proc/slowFacts/slowFacts.ts";
import { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { visible } from "../../linux/proc/table.ts";
import { denySignals, restartWithFewerRights } from "../giveUp.ts";
import { type JobFlags, jobSpecFromFlags } from "../options/jobOptions.ts";
import { printErr, printJson, warn } from "../output/messages.ts";
import { warnOfLikelyMistakes, warnOfMissingLimits } from "../output/outcomes.ts";
import { openContext } from "../session.ts";
import { firstSignal, stopObserving, watchContinuations } from "../signals.ts";

const DETACH_POLL_MS = 1000;

/** Governs a running process until it ends, and reports how it ended. The exit code is only about ffrtmp. */
export async function attach(flags: JobFlags & { pid: number }): Promise<number> {
  restartWithFewerRights();
  const context = openContext(flags);
  const spec = jobSpecFromFlags(flags, `pid-${flags.pid}-${Date.now().toString(36)}`);
  warnOfLikelyMistakes(context, spec.limits);
  const signal = firstSignal();
  const slow = await readSlowFacts(context.host, flags.pid);
  const { job, pidfd } = await withAttachLock(context.host, flags.pid, () =>
    attachToProcess(context, flags.pid, spec, slow),
  );
  warn(`governing PID ${job.process.pid} (${shownCommand(job).command[0]}) as job ${job.jobId}`);
  warnOfMissingLimits(job);

  const observed = Promise.withResolvers<ObservedEnd>();
  const events = await startExitEvents(context.host, (batch) => observer.take(batch));
  const observer = new JobObserver(context, events, observed.resolve);
  observer.observe(job, pidfd);
  denySignals();
  const hasContinued = watchContinuations(context.host);
  const end = await Promise.race([signal, observed.promise, detached(context, job)]);
  // The kernel keeps counting a listener that exits without unregistering.
  await events.stop();
  if (end === "detached") {
    warn(`job ${job.jobId} was detached; PID ${job.process.pid} keeps running`);
    return 0;
  }
  if (typeof end === "string") return stopObserving(context, job, end);
  const { result, isOurs, survivors } = recordExit(context, job, end.ending, {
    atEnd: end.measured,
    time: (await hasContinued()) ? "unseen" : end.time,
  });
  if (survivors.length > 0) warn(survivorsLine(job, survivors));
  if (isOurs && flags.json) printJson(resultJson(job, result));
  else if (isOurs) printErr(summaryLine(job, result));
  context.ledger.close();
  return 0;
}

/** Reads what the ledger keeps of a process, which can delay that without end, within a time limit. */
async function readSlowFacts(host: Host, pid: number): Promise<SlowFacts> {
  const slow = new CollectedSlowFacts();
  const stat = visible(() => readStat(host, pid));
  if (stat === undefined) return slow;
  const reader = new SlowReader(host);
  const read = { kind: "arguments", pid, startTicks: stat.startTicks } as const;
  slow.add(read, await reader.read(read));
  reader.stop();
  return slow;
}

/** Settles when another ffrtmp has detached the job, which only the ledger shows. */
async function detached(context: Context, { key }: Job): Promise<"detached"> {
  while (context.ledger.result({ key })?.ending.kind !== "detached") await Bun.sleep(DETACH_POLL_MS);
  return "detached";
}
