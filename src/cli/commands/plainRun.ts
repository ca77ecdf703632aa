import type { Context } from "../../jobs/context.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import { exitCodeOf, type JobResult } from "../../jobs/model/ending.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import { waitForEnd } from "../../jobs/start/spawn.ts";
import type { LaunchedJob } from "../../launch/end.ts";
import type { RepeatedLaunch } from "../../launch/launch.ts";
import type { RunOptions } from "../../launch/newStart.ts";
import type { UnrecordedEnd } from "../../launch/wait.ts";
import { openToChange } from "../session.ts";
import { stopObserving } from "../signals.ts";
import { finishRun, observeRun } from "./observeRun.ts";
import { pruneIfDue, reportExit } from "./reportExit.ts";

// The rest of a `run` that waits in a new start, or whose launch was repeated from a record: what needs the ledger. Where the
// ledger is gone, as after the purge of the package, it stays gone.

/** Waits for the end of a job that another ffrtmp has moved into the ledger, or that could not be recorded in the inbox. */
export async function observePlainRun({ plain, child, files }: RepeatedLaunch): Promise<number> {
  const context = openToChange({});
  const job = jobInLedger(context, plain);
  return observeRun({ context, job, ended: waitForEnd(child) }, { inherited: files.inherited });
}

export async function recordEnd(
  launched: LaunchedJob,
  { ending, measured, recorded, isUnseen }: UnrecordedEnd,
  options: RunOptions,
): Promise<number> {
  const context = openToChange(options);
  const job = jobInLedger(context, launched);
  if (recorded.kind === "open") return finishRun({ context, job }, { ending, measured }, isUnseen, options);
  const exit = recordExit(context, job, ending, {
    byParent: measured,
  });
  // This process has written it to the inbox, from where it came into the ledger.
  const isOurs = exit.isOurs || isSame(exit.result, recorded.result);
  if (isOurs && !exit.isOurs && exit.survivors.length > 0) {
    const detail = { pids: exit.survivors };
    context.ledger.addEvent(job, { atMs: context.host.now(), kind: "left_behind", detail });
  }
  await reportExit(context, job, { ...exit, isOurs });
  return exitCodeOf(ending);
}

export async function stopObservingRun(
  launched: LaunchedJob,
  signal: string,
  options: RunOptions,
): Promise<number> {
  const context = openToChange(options);
  return stopObserving(context, jobInLedger(context, launched), signal);
}

/** Moves the records of ended launches to the ledger, and deletes old history. */
export async function foldInbox(): Promise<void> {
  const context = openToChange({});
  await pruneIfDue(context);
  context.ledger.close();
}

/** Returns the job as the ledger records it. Another ffrtmp may have ended it meanwhile, or given it another id. */
function jobInLedger({ ledger }: Context, { job, registered, running }: LaunchedJob): RunningJob {
  const recorded = ledger.continueFromInbox({ job: registered, running });
  return recorded.state === "running" ? recorded : job;
}

/** Two processes cannot have recorded the same end at the same time with the same usage. */
function isSame(a: JobResult, b: JobResult): boolean {
  return a.endMs === b.endMs && a.endBootMs === b.endBootMs && a.ending.kind === b.ending.kind;
}
