import { type Context, createContext } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import { isOpen, type Job } from "../jobs/model/job.ts";
import { repairJob } from "../jobs/recovery/recover.ts";
import { Ledger } from "../ledger/ledger.ts";
import { locateState } from "../ledger/location.ts";
import { realHost } from "../linux/host.ts";
import type { StateFlags } from "./options/jobOptions.ts";
import { warn } from "./output/messages.ts";

/** Opens the ledger and looks at the machine: what every command begins with. */
export function openContext(flags: StateFlags): Context {
  const state = locateState(flags.statePath, process.env);
  const ledger = new Ledger(state.ledger, warn);
  return createContext(realHost(), ledger, state, warn);
}

/** For commands that are of no use without what is on record: an empty answer would be a false one. */
export function requireRecords({ ledger }: Context): void {
  if (ledger.unreadableBecause === undefined) return;
  throw new Refusal(`what is on record cannot be read: ${ledger.path}: ${ledger.unreadableBecause}`);
}

/** The job that an id means: the one that is open, or the last that ended. Brought up to date first. */
export function findJob(context: Context, jobId: string): Job {
  requireRecords(context);
  const named = context.ledger.jobsNamed(jobId);
  const job = named.find(isOpen) ?? named[0];
  if (!job) {
    throw new Refusal(
      `there is no job ${jobId || JSON.stringify(jobId)} on record in ${context.state.ledger}`,
      "ffrtmp ps, ffrtmp history; with --state-path for a job of another state directory",
    );
  }
  repairJob(context, job);
  return context.ledger.job(job.key) ?? job;
}
