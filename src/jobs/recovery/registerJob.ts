import { JobConflict, type Ledger } from "../../ledger/ledger.ts";
import type { CgroupInUse } from "../../linux/cgroup/cgroupChanges.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { isOpen, type Job, type StartingJob } from "../model/job.ts";
import { isObserved, recordUnobservedExit, repairJob } from "./recover.ts";

/**
 * Records a job before anything is done for it. The record decides between several ffrtmps that want the same process or
 * id. Throws a Refusal when a running job has the id, or governs the process.
 */
export function registerJob(context: Context, job: StartingJob): void {
  const { ledger } = context;
  const { jobId, process } = job;
  if (tryToRegister(ledger, job)) return;
  // The job that has the id may have ended, with an ffrtmp that died before it could record that.
  for (const holder of ledger.jobsNamed(jobId)) {
    // Left to a daemon, it would keep its id for a moment after its end.
    if (isOpen(holder) && repairJob(context, holder) === "left") recordUnobservedExit(context, holder);
  }
  if (tryToRegister(ledger, job)) return;
  const other = process && ledger.openJobOfProcess(process)?.jobId;
  if (other)
    throw new Refusal(
      `process ${process.pid} is governed already, as job ${other}`,
      `ffrtmp inspect ${other}`,
    );
  const holder = ledger.jobsNamed(jobId)[0];
  const pid = holder?.process?.pid;
  const isOrphan = holder?.state === "running" && !isObserved(context, holder);
  throw new Refusal(
    `the job id ${jobId} is taken by a job that still runs${pid ? ` as PID ${pid}` : ""}`,
    isOrphan
      ? `ffrtmp attach --job ${jobId} waits for that job, whose observer is gone; or choose another --job-id`
      : `choose another --job-id, or see: ffrtmp inspect ${jobId}`,
  );
}

function tryToRegister(ledger: Ledger, job: StartingJob): boolean {
  try {
    ledger.register(job);
    return true;
  } catch (error) {
    if (!(error instanceof JobConflict)) throw error;
    return false;
  }
}

/** The cgroup of a job's name contains processes of an earlier job, or another user made it first. */
export class CgroupNameTaken extends Refusal {}

/** Describes a cgroup with processes that an ended job of the same name left behind. */
export function cgroupInUse({ jobId }: Job, { path, pids }: CgroupInUse): CgroupNameTaken {
  if (pids.length === 0)
    return new CgroupNameTaken(`another user has made the cgroup ${path}`, "choose another --job-id");
  return new CgroupNameTaken(
    `an earlier job ${jobId} left processes behind that still run in its cgroup ${path}: PID ${pids.join(", ")}`,
    "choose another --job-id, or wait for them to end",
  );
}
