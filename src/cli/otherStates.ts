import type { GovernedElsewhere } from "../jobs/attach/attach.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import { findForeignJob, findForeignJobs } from "../jobs/recovery/foreignJobs.ts";
import { commandFor, describeMissing, describeOthers } from "./output/emptyState.ts";

/** Returns the refusal for a job that is not recorded: where it runs, or why nothing is recorded here. */
export function explainUnknownJob(context: Context, jobId: string, plain: Refusal): Refusal {
  const elsewhere = findForeignJobs(context).find((job) => job.jobId === jobId);
  if (elsewhere !== undefined) {
    const { directory, path } = elsewhere;
    const place = directory ?? `whose place is not known: its cgroup is ${path}`;
    const message = `${plain.message}. A job with that id is governed by another state directory, ${place}`;
    return new Refusal(message, directory ? commandFor(directory, `inspect ${jobId}`) : plain.hint);
  }
  if (!context.ledger.isMissing) return plain;
  const { directory } = context.state;
  const others = describeOthers(directory, "ps");
  const reasons = [describeMissing(directory), ...others.map(({ text }) => text)].join("; ");
  const hint = others.find(({ command }) => command !== undefined)?.command;
  return new Refusal(`${plain.message}: ${reasons}`, hint ?? plain.hint);
}

/** Returns the refusal for a process that another state directory governs, with the place of that directory. */
export function describeGovernor(context: Context, { message, hint, cgroup }: GovernedElsewhere): Refusal {
  const job = findForeignJob(context, cgroup);
  if (job === undefined) return new Refusal(message, hint);
  const { jobId, directory } = job;
  const place = directory === undefined ? "another state directory, whose place is not known" : directory;
  const detach = directory === undefined ? hint : commandFor(directory, `detach ${jobId}`);
  return new Refusal(`${message}, as job ${jobId} of ${place}`, detach);
}
