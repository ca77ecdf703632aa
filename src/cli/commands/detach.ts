import { detach as detachJob } from "../../jobs/attach/detach.ts";
import { jobCgroupOf } from "../../jobs/placement/jobCgroup.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { printOut } from "../output/messages.ts";
import { closeAfterChange, findRunningJob, openToChange } from "../session.ts";

export function detach(jobId: string, flags: CommonFlags): number {
  const context = openToChange(flags);
  const job = findRunningJob(context, jobId);
  detachJob(context, job, jobCgroupOf(context, job));
  closeAfterChange(context, job);
  printOut(`job ${jobId} is detached: everything is restored, and PID ${job.process.pid} keeps running`);
  return 0;
}
