import type { Context } from "../../jobs/context.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import { exitCodeOf } from "../../jobs/model/ending.ts";
import type { StartedJob } from "../../jobs/start/startWorkload.ts";
import { firstSignal, watchContinuations } from "../../sys/ownSignals.ts";
import { printErr, warn } from "../output/messages.ts";
import type { ResultFile } from "../output/resultFile.ts";
import { stopObserving } from "../signals.ts";
import { reportExit } from "./reportExit.ts";

/** When a wrapper, which may wait for days, gives up what only the start needed, and notices its own stops. */
const SETTLE_AFTER_MS = 500;

interface ObserveOptions {
  json?: boolean;
  /** The descriptor to which the background copy of `--detach` reports the start. */
  reportStart?: number;
  resultFile?: ResultFile | undefined;
}

/** Waits for the end of a workload of this process, records it and returns the exit code of `run`. */
export async function observeRun(
  { context, job, ended }: StartedJob & { context: Context },
  { json: isJson, reportStart, resultFile }: ObserveOptions,
): Promise<number> {
  let hasContinued: (() => Promise<boolean>) | undefined;
  setTimeout(() => {
    hasContinued = watchContinuations(context.host);
    void settle();
  }, SETTLE_AFTER_MS).unref();
  const first = Promise.race([ended, firstSignal()]);
  if (reportStart !== undefined) {
    const { handOver } = await import("./handOver.ts");
    if (await handOver(context, job)) return 0;
  }
  const end = await first;
  if (typeof end === "string") {
    if (resultFile)
      warn(`the result of job ${job.jobId} is not written to ${resultFile.path}: this run does not wait`);
    return stopObserving(context, job, end);
  }
  const exit = recordExit(context, job, end.ending, {
    byParent: end.measured,
    ...((await hasContinued?.()) ? { time: "unseen" } : {}),
  });
  if (exit.isOurs && reportStart !== undefined) {
    const { reportRecorded } = await import("./handOver.ts");
    await reportRecorded(context, job);
  }
  if (resultFile || (exit.isOurs && isJson)) {
    const { resultJson } = await import("../../jobs/json.ts");
    const json = resultJson(job, exit.result);
    resultFile?.write(json);
    await reportExit(context, job, exit, isJson ? () => printErr(JSON.stringify(json)) : undefined);
  } else await reportExit(context, job, exit);
  return exitCodeOf(end.ending);
}

/**
 * Returns the memory of the start to the kernel, 0.7 MB, and installs the signal filter. Before the spawn, the
 * workload would inherit the filter; now it is a process of its own, and the filter concerns the wrapper alone.
 */
async function settle(): Promise<void> {
  const { denySignals } = await import("../denySignals.ts");
  denySignals();
  Bun.shrink();
}
