import type { Context } from "../../jobs/context.ts";
import type { RecordedExit } from "../../jobs/exit/recordExit.ts";
import { factsOfEnding } from "../../jobs/model/ending.ts";
import type { Job } from "../../jobs/model/job.ts";
import { summaryLine, survivorsLine } from "../../jobs/summary.ts";
import { isPruningDue } from "../../ledger/retention.ts";
import { printErr, warn } from "../output/messages.ts";

/**
 * Reports the end of a job of `run`, deletes old history if that is due, and closes the ledger. `printResult` prints a result
 * that this process has recorded, in place of the summary line.
 */
export async function reportExit(
  context: Context,
  job: Job,
  { result, isOurs, survivors }: RecordedExit,
  printResult = (): void => printErr(summaryLine(job, result)),
): Promise<void> {
  if (survivors.length > 0) warn(survivorsLine(job, survivors));
  if (isOurs) printResult();
  else
    warn(`job ${job.jobId} was already recorded as ${factsOfEnding(result.ending).ending} before it ended`);
  await pruneIfDue(context);
  context.ledger.close();
}

/** Deletes old history after the first `run` of a day, where no daemon does. The exit code never waits for a lock. */
export async function pruneIfDue(context: Context): Promise<void> {
  const { ledger, host } = context;
  try {
    if (ledger.flush() > 0 || !isPruningDue(ledger, host.now())) return;
    const { pruneBriefly } = await import("./pruneAfterRun.ts");
    pruneBriefly(context);
  } catch (error) {
    warn(`cannot delete old history: ${error instanceof Error ? error.message : error}`);
  }
}
