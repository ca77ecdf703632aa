import { JobConflict, type Ledger, RETIRED } from "../../ledger/ledger.ts";
import { NotWritten } from "../../ledger/store.ts";
import type { CgroupInUse } from "../../linux/cgroup/cgroupChanges.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { isOpen, type Job, type StartingJob } from "../model/job.ts";
import { outcomeOf } from "../model/outcome.ts";
import { exitText } from "../summary.ts";
import { isObserved, recordUnobservedExit, repairJob } from "./recover.ts";

/**
 * Records a job before anything is done for it. The record decides between several ffrtmps that want the same process or
 * id. Throws a Refusal when a running job has the id, or governs the process. `once`: also when any job ever had the id, and
 * when that cannot be known or recorded.
 */
export function registerJob(context: Context, job: StartingJob, { once = false } = {}): void {
  const { ledger } = context;
  const { jobId, process } = job;
  if (tryToRegister(ledger, job, once)) return;
  // The job that has the id may have ended, with an ffrtmp that died before it could record that.
  for (const holder of ledger.jobsNamed(jobId)) {
    // Left to a daemon, it would keep its id for a moment after its end.
    if (isOpen(holder) && repairJob(context, holder) === "left") recordUnobservedExit(context, holder);
  }
  if (tryToRegister(ledger, job, once)) return;
  const other = process && ledger.openJobOfProcess(process)?.jobId;
  if (other)
    throw new Refusal(
      `process ${process.pid} is governed already, as job ${other}`,
      `ffrtmp inspect ${other}`,
    );
  if (once) throw usedBefore(context, jobId);
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

function tryToRegister(ledger: Ledger, job: StartingJob, once: boolean): boolean {
  try {
    if (once) ledger.registerOnce(job);
    else ledger.register(job);
    return true;
  } catch (error) {
    if (error instanceof NotWritten)
      throw new Refusal(
        `job ${job.jobId} is not started, because --once needs its record, and the ledger cannot be written: ${error.message}`,
        `${error.remedy}. Another directory does not know which ids were used with this one`,
      );
    if (!(error instanceof JobConflict)) throw error;
    return false;
  }
}

/** Says when an id was used, and what became of that job. */
function usedBefore({ ledger }: Context, jobId: string): Refusal {
  const [last] = ledger.jobsNamed(jobId);
  if (last === undefined && ledger.usedOnceMs(jobId) === RETIRED)
    return new Refusal(`--once refuses the job id ${jobId}: ffrtmp fleet runner has refused this attempt`);
  const usedMs = last?.createdMs ?? ledger.usedOnceMs(jobId);
  const at = usedMs === undefined ? "" : ` at ${timeText(usedMs)}`;
  const hint = "choose another --job-id";
  return new Refusal(
    `--once refuses the job id ${jobId}: it was used${at} by ${last ? fateOf(ledger, last) : "a job whose record is deleted"}`,
    last ? `${hint}, or see: ffrtmp inspect ${jobId}` : hint,
  );
}

/** Returns `a job that runs as PID 12`, or `a job that ended at 2026-11-26T14:25:55Z (succeeded, exit 0)`. */
function fateOf(ledger: Ledger, job: Job): string {
  if (job.state === "running") return `a job that runs as PID ${job.process.pid}`;
  if (job.state === "starting") return "a job that is being started";
  const result = ledger.result(job);
  if (result === undefined) return "a job that has ended";
  const { ending, endMs } = result;
  if (ending.kind === "never-started") return `a job that was never started: ${ending.reason}`;
  if (ending.kind === "unobserved") return `a job that has ended: ${ending.reason}`;
  if (ending.kind === "detached") return `a job that was detached at ${timeText(endMs)}`;
  return `a job that ended at ${timeText(endMs)} (${outcomeOf(ending)}, exit ${exitText(result)})`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, "");
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
