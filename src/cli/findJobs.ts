import { existsSync } from "node:fs";
import { findGoverningJob } from "../jobs/attach/governingJob.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import { isOpen, type Job, type OpenJob, type RunningJob } from "../jobs/model/job.ts";
import { repairJob } from "../jobs/recovery/recover.ts";
import { ValueFault } from "../limits/units.ts";
import { compilePattern } from "../policy/pattern.ts";
import { warn } from "./output/messages.ts";
import { Explained, requireRecords } from "./session.ts";

function unknownJob(context: Context, jobId: string): Refusal {
  return new Explained(
    `there is no job ${jobId || JSON.stringify(jobId)} in ${context.state.ledger}`,
    "ffrtmp ps, ffrtmp history; add --state-path DIR for another state directory",
    async (plain) => (await import("./otherStates.ts")).explainUnknownJob(context, jobId, plain),
  );
}

/**
 * Returns the job that an argument names, brought up to date: the open one with this id, or else the last one that ended.
 * A number that is the id of no job is a PID, and names the open job that governs its process.
 */
export function findJob(context: Context, name: string): Job {
  requireRecords(context);
  const named = context.ledger.jobsNamed(name);
  const job = named.find(isOpen) ?? named[0] ?? findJobOfPid(context, name);
  if (!job) throw unknownJob(context, name);
  if (named.length > 0 && isPid(name)) warnOfProcess(context, job);
  repairJob(context, job);
  return context.ledger.job(job.key) ?? job;
}

export function findRunningJob(context: Context, name: string): RunningJob {
  const job = findJob(context, name);
  const { jobId, state } = job;
  if (state === "ended") throw new Refusal(`job ${jobId} has already ended`, `ffrtmp inspect ${jobId}`);
  if (state === "starting") throw new Refusal(`job ${jobId} is still starting`, "try again in a moment");
  return job;
}

/** A job that an argument names, or why it names none that can be changed. */
export type FoundJob = { name: string; job: RunningJob } | { name: string; refusal: Refusal };

/**
 * Returns the running jobs that arguments name, each job once: by id, by PID, or by a pattern of ids (`batch-*`), which
 * names open jobs only.
 */
export function findRunningJobs(context: Context, names: readonly string[]): FoundJob[] {
  requireRecords(context);
  if (names.length > 0 && context.ledger.isMissing) throw unknownJob(context, names.join(" "));
  const found = names.flatMap((name) => {
    const jobIds = isPattern(name) ? matchJobIds(context, name) : [name];
    return "refusal" in jobIds ? [{ name, ...jobIds }] : jobIds.map((each) => tryToFind(context, each));
  });
  const keys = new Set<string>();
  return found.filter((each) => {
    if ("refusal" in each) return true;
    const isFirst = !keys.has(each.job.key);
    keys.add(each.job.key);
    return isFirst;
  });
}

/** Returns whether an argument is a pattern: no job id contains these characters. */
export function isPattern(name: string): boolean {
  return /[*?[]/.test(name);
}

function tryToFind(context: Context, name: string): FoundJob {
  try {
    return { name, job: findRunningJob(context, name) };
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    return { name, refusal };
  }
}

function matchJobIds(context: Context, name: string): string[] | { refusal: Refusal } {
  try {
    const { matches } = compilePattern(name);
    const jobIds = context.ledger.openJobs().flatMap(({ jobId }) => (matches(jobId) ? [jobId] : []));
    return jobIds.length > 0 ? jobIds : { refusal: new Refusal(`no open job matches ${name}`, "ffrtmp ps") };
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    return { refusal: new Refusal(`${name} ${error.message}`) };
  }
}

function isPid(name: string): boolean {
  return /^[1-9]\d{0,6}$/.test(name);
}

/** Returns the open job that governs the process with this PID; `undefined` for an argument that is no PID. */
function findJobOfPid(context: Context, name: string): OpenJob | undefined {
  if (!isPid(name)) return undefined;
  const pid = Number(name);
  const job = findGoverningJob(context, pid);
  if (job) return job;
  if (!existsSync(`${context.host.procRoot}/${pid}`))
    throw new Refusal(`process ${pid} does not exist`, `no job has the id ${pid} either: ffrtmp ps, ps -e`);
  throw new Explained(
    `process ${pid} is not governed by a job in ${context.state.ledger}`,
    `ffrtmp attach --pid ${pid}; add --state-path DIR for another state directory`,
    async (plain) => (await import("./otherStates.ts")).explainUnknownJob(context, name, plain),
  );
}

/** Says which job was taken where the id of one is also the PID of a process of another one. */
function warnOfProcess(context: Context, { key, jobId }: Job): void {
  const other = findGoverningJob(context, Number(jobId));
  if (other && other.key !== key)
    warn(`${jobId} is the id of a job; the process with PID ${jobId} belongs to job ${other.jobId}`);
}
