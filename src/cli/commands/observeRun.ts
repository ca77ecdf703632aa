import type { Context } from "../../jobs/context.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import { exitCodeOf } from "../../jobs/model/ending.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import { trimProgressFile } from "../../jobs/progressFile.ts";
import type { WorkloadEnd } from "../../jobs/start/spawn.ts";
import type { StartedJob } from "../../jobs/start/startWorkload.ts";
import { asRegistered, continueInNewStart, type RunOptions } from "../../launch/newStart.ts";
import { SETTLE_AFTER_MS } from "../../launch/wait.ts";
import { O_PATH, openFile } from "../../sys/files.ts";
import { firstSignal, watchContinuations } from "../../sys/ownSignals.ts";
import { printErr, warn } from "../output/messages.ts";
import type { ResultFile } from "../output/resultFile.ts";
import { stopObserving } from "../signals.ts";
import { reportExit } from "./reportExit.ts";

/** ffmpeg writes 0.6 KB of progress each second. */
const TRIM_INTERVAL_MS = 10 * 60_000;

interface ObserveOptions extends RunOptions {
  /** The descriptor to which the background copy of `--detach` reports the start. */
  reportStart?: number;
  resultFile?: ResultFile | undefined;
  /** ffmpeg may write its progress into a file of the job. */
  progress?: boolean;
  /** The descriptors above 2 that the caller opened; none in a background copy. */
  inherited: readonly number[];
}

/** Waits for the end of a workload of this process, records it and returns the exit code of `run`. */
export async function observeRun(
  { context, job, ended }: StartedJob & { context: Context },
  { reportStart, resultFile, progress, statePath, json, inherited }: ObserveOptions,
): Promise<number> {
  let hasEnded = false;
  void ended.then(() => {
    hasEnded = true;
  });
  const first = Promise.race([ended, firstSignal()]);
  const options: RunOptions = {
    ...(statePath === undefined ? {} : { statePath }),
    ...(json ? { json } : {}),
    ...(reportStart === undefined ? {} : { isInBackground: true }),
  };
  if (reportStart !== undefined) {
    const { handOver } = await import("./handOver.ts");
    if (await handOver(context, job)) return 0;
  }
  let hasContinued: (() => Promise<boolean>) | undefined;
  setTimeout(async () => {
    hasContinued = watchContinuations(context.host);
    const { denySignals } = await import("../denySignals.ts");
    // Before the spawn, the workload would inherit the filter; now it concerns the wrapper alone.
    denySignals();
    // An end that the runtime has seen can be reported only by it. A result file has its directory open, what waits for the
    // ledger is in the memory of this start, and a progress file must be trimmed.
    if (!hasEnded && resultFile === undefined && !progress && context.ledger.flush() === 0)
      continueInNewStart(
        { registered: asRegistered(job, context.self), running: job, options },
        job.process.pid,
        [...inherited, ...openPlace(context.ledger.path)],
      );
    Bun.shrink();
  }, SETTLE_AFTER_MS).unref();
  if (progress) setInterval(() => trimProgressFile(context.state, job), TRIM_INTERVAL_MS).unref();
  const end = await first;
  if (typeof end === "string") {
    if (resultFile)
      warn(`the result of job ${job.jobId} is not written to ${resultFile.path}: this run does not wait`);
    return stopObserving(context, job, end);
  }
  return finishRun({ context, job, resultFile }, end, (await hasContinued?.()) ?? false, options);
}

/**
 * Opens the ledger in a way that allows nothing but its name to be read: by that name, other ffrtmps find the state directory
 * of a job.
 */
function openPlace(ledgerPath: string): number[] {
  try {
    return [openFile(ledgerPath, O_PATH)];
  } catch {
    return [];
  }
}

/** Records and reports the end of a workload. Returns the exit code of `run`. */
export async function finishRun(
  { context, job, resultFile }: { context: Context; job: RunningJob; resultFile?: ResultFile | undefined },
  { ending, measured }: WorkloadEnd,
  isUnseen: boolean,
  { json: isJson, isInBackground }: RunOptions,
): Promise<number> {
  const exit = recordExit(context, job, ending, {
    byParent: measured,
    ...(isUnseen ? { time: "unseen" } : {}),
  });
  if (exit.isOurs && isInBackground) {
    const { reportRecorded } = await import("./handOver.ts");
    await reportRecorded(context, job);
  }
  if (resultFile || (exit.isOurs && isJson)) {
    const { resultJson } = await import("../../jobs/json.ts");
    const json = resultJson(job, exit.result);
    resultFile?.write(json);
    await reportExit(context, job, exit, isJson ? () => printErr(JSON.stringify(json)) : undefined);
  } else await reportExit(context, job, exit);
  return exitCodeOf(ending);
}
