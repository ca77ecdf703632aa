import type { RunningJob } from "../../jobs/model/job.ts";
import type { RepeatedLaunch } from "../../launch/launch.ts";
import type { Ledger } from "../../ledger/ledger.ts";
import { openContext } from "../session.ts";
import { observeRun } from "./observeRun.ts";

/**
 * Continues a `run` whose launch was repeated from a record and which needs the ledger now: another ffrtmp has moved the job
 * into it, or a step of a plain run is not possible. Returns its exit code.
 */
export async function continueRun(launch: RepeatedLaunch): Promise<number> {
  const context = openContext({});
  const job = inLedger(context.ledger, launch);
  return observeRun({ context, job, ended: launch.ended }, {});
}

/** Opening the ledger has moved the job into it; the record of the start may be missing there. */
function inLedger(ledger: Ledger, { job, running }: RepeatedLaunch): RunningJob {
  const recorded = ledger.job(job.key);
  if (recorded === undefined) ledger.register(job);
  return recorded?.state === "starting" ? ledger.recordRunning(recorded, running) : job;
}
