import { JobConflict } from "../../ledger/ledger.ts";
import type { CgroupInUse } from "../../linux/cgroup/cgroupChanges.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { isOpen, type Job, type OpenJob, pidOf, type StartingJob } from "../model/job.ts";
import { recordUnobservedExit, repairJob } from "./recover.ts";

/**
 * Puts a job on record before anything is done for it, which decides between several ffrtmps that want the same.
 * Throws Refusal when its id is a living job's, or its process is governed.
 */
export function registerJob(context: Context, job: StartingJob): void {
  const { ledger } = context;
  try {
    ledger.register(job);
    return;
  } catch (error) {
    if (!(error instanceof JobConflict)) throw error;
  }
  // The holder of the id may be dead, and only not closed because its ffrtmp died too.
  for (const holder of ledger.jobsNamed(job.jobId)) {
    // Left to a watch, it would keep its id for a moment more than it lives.
    if (isOpen(holder) && repairJob(context, holder) === "left") recordUnobservedExit(context, holder);
  }
  try {
    ledger.register(job);
  } catch (error) {
    if (!(error instanceof JobConflict)) throw error;
    const governing = findGoverning(context, job);
    if (governing) throw governedAlready(`process ${pidOf(job)}`, governing);
    const pid = ledger.jobsNamed(job.jobId)[0]?.process?.pid;
    throw new Refusal(
      `the job id ${job.jobId} is taken by a job that still runs${pid ? ` as PID ${pid}` : ""}`,
      `choose another --job-id, or see: ffrtmp inspect ${job.jobId}`,
    );
  }
}

/** Returns the open job, under any id, that governs the process of this one. */
function findGoverning({ ledger }: Context, { process }: StartingJob): OpenJob | undefined {
  return process === null ? undefined : ledger.openJobOfProcess(process);
}

function governedAlready(name: string, { jobId }: Job): Refusal {
  return new Refusal(`${name} is governed already, as job ${jobId}`, `ffrtmp inspect ${jobId}`);
}

/** A job of the same name has ended, but processes that it left behind live on in its cgroup. */
export function cgroupInUse(job: Job, { path, pids }: CgroupInUse): Refusal {
  return new Refusal(
    `an earlier job ${job.jobId} left processes behind that still run in its cgroup ${path}: PID ${pids.join(", ")}`,
    "choose another --job-id, or wait for them to end",
  );
}
