import { detach as detachJob } from "../../jobs/attach/detach.ts";
import { resultJson } from "../../jobs/json.ts";
import { jobCgroupOf } from "../../jobs/placement/jobCgroup.ts";
import { findActiveDaemon } from "../../jobs/recovery/recover.ts";
import { findRunningJob } from "../findJobs.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { closeAfterChange, openToChange } from "../session.ts";

export function detach(name: string, flags: CommonFlags): number {
  const context = openToChange(flags);
  const job = findRunningJob(context, name);
  const { jobId, process } = job;
  detachJob(context, job, jobCgroupOf(context, job));
  const result = context.ledger.result(job);
  const hasDaemon = findActiveDaemon(context) !== undefined;
  closeAfterChange(context, job);
  if (flags.json && result) printJson(resultJson(job, result));
  else {
    printOut(`job ${jobId} is detached: everything is restored, and PID ${process.pid} keeps running`);
    if (job.mode === "watch" || hasDaemon)
      printOut(
        `ffrtmp watch leaves it alone from now on. To undo that: ffrtmp attach --policy --pid ${process.pid}`,
      );
  }
  return 0;
}
