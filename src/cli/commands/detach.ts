import { detach as release } from "../../jobs/attach/detach.ts";
import { Refusal } from "../../jobs/errors.ts";
import { jobCgroupOf } from "../../jobs/placement/jobCgroup.ts";
import type { StateFlags } from "../options/jobOptions.ts";
import { printOut } from "../output/messages.ts";
import { findJob, openContext } from "../session.ts";

export function detach(jobId: string, flags: StateFlags): number {
  const context = openContext(flags);
  const job = findJob(context, jobId);
  if (job.state === "ended") throw new Refusal(`job ${jobId} has ended already`, `ffrtmp inspect ${jobId}`);
  if (job.state === "starting")
    throw new Refusal(`job ${jobId} is being started just now`, "try again in a moment");
  release(context, job, jobCgroupOf(context, job));
  printOut(`job ${jobId} is released: PID ${job.process.pid} goes on as it was before`);
  context.ledger.close();
  return 0;
}
