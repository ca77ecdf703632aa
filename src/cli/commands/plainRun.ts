import type { Context } from "../../jobs/context.ts";
import { cleanUpEnded, type RecordedExit, recordExit } from "../../jobs/exit/recordExit.ts";
import { exitCodeOf, type JobResult } from "../../jobs/model/ending.ts";
import { isOpen, type Job } from "../../jobs/model/job.ts";
import { jobCgroupOf } from "../../jobs/placement/jobCgroup.ts";
import type { PlainJob } from "../../launch/end.ts";
import type { UnrecordedEnd } from "../../launch/wait.ts";
import { signalNumber } from "../../sys/waitStatus.ts";
import { openContext } from "../session.ts";
import { stopObserving } from "../signals.ts";
import { pruneIfDue, reportExit } from "./reportExit.ts";

// What the full program does for a plain launch: everything but its usual end.

/** Records the end of a plain launch in the ledger, as far as it is not recorded, and reports it. Returns the exit code. */
export async function recordPlainEnd(plain: PlainJob, end: UnrecordedEnd): Promise<number> {
  const context = openContext({});
  const { recorded, ending, measured, isUnseen } = end;
  const written = recorded.kind === "open" ? undefined : recorded.result;
  const job = continueInLedger(context, plain, written);
  const exit = isOpen(job)
    ? recordExit(context, job, ending, { byParent: measured, ...(isUnseen ? { time: "unseen" } : {}) })
    : finishEnded(context, job, written);
  await reportExit(context, job, exit);
  return exitCodeOf(ending);
}

/** Leaves the job without an observer. Returns the exit code of a shell for this signal. */
export function stopObservingPlain(plain: PlainJob, signal: string): number {
  const context = openContext({});
  const job = continueInLedger(context, plain);
  if (job.state === "running") return stopObserving(context, job, signal);
  context.ledger.close();
  return 128 + (signalNumber(signal) ?? 0);
}

/** Moves the records of ended launches to the ledger, which happens when it is opened, and deletes old history. */
export async function foldAfterPlainRun(): Promise<void> {
  const context = openContext({});
  await pruneIfDue(context);
  context.ledger.close();
}

function continueInLedger(
  { ledger }: Context,
  { registered: job, running }: PlainJob,
  result?: JobResult,
): Job {
  return ledger.continueFromInbox({ job, running, result });
}

/** Cleans up after a job whose result is recorded, unless another ffrtmp has recorded it, and so cleans up too. */
function finishEnded(context: Context, job: Job, written: JobResult | undefined): RecordedExit {
  const { ledger, host } = context;
  const result = ledger.result(job);
  if (job.state !== "ended" || result === undefined) throw new Error(`job ${job.jobId} has no result`);
  const isOurs = written !== undefined && Bun.deepEquals(result, written);
  const survivors = job.cleanedUp ? [] : cleanUpEnded(context, job, jobCgroupOf(context, job));
  if (isOurs && survivors.length > 0)
    ledger.addEvent(job, { atMs: host.now(), kind: "left_behind", detail: { pids: survivors } });
  return { result, isOurs, survivors };
}
