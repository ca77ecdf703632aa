import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { visible } from "../../linux/proc/table.ts";
import { closeFd } from "../../sys/descriptor.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { undoInGateLock } from "../gateLock.ts";
import { type Enforcement, enforceLimits } from "../limits/enforceLimits.ts";
import { isSameProcess, type RunningJob } from "../model/job.ts";
import { takeOverScope } from "../placement/jobScope.ts";
import { findActiveDaemon, repairJob } from "../recovery/recover.ts";
import { openProcessHandle } from "./attach.ts";

/** Returns the running job whose main process this is, brought up to date; `undefined` where there is none. */
export function findRunningJobOf(context: Context, pid: number): RunningJob | undefined {
  const { host, ledger, bootId } = context;
  const stat = visible(() => readStat(host, pid));
  const seen = stat && ledger.openJobOfProcess({ bootId, pid, startTicks: stat.startTicks });
  if (seen === undefined) return undefined;
  repairJob(context, seen);
  const job = ledger.job(seen.key);
  return job?.state === "running" ? job : undefined;
}

/** A job that this process observes from now on, with the repairs of its limits. */
interface TakenOver extends Enforcement {
  pidfd: number | undefined;
}

/**
 * Makes this process the observer of a job whose observer is dead, under the job's own id and limits, which are applied
 * again where they were changed meanwhile. The ledger decides between several that try. Throws a Refusal, having changed
 * nothing, where another process observes the job.
 */
export function takeOver(context: Context, seen: RunningJob): TakenOver {
  const { host, ledger, self } = context;
  rejectObserved(context, seen);
  const pidfd = openProcessHandle(host, seen.process);
  if (pidfd === "gone")
    throw new Refusal(
      `process ${seen.process.pid} does not exist`,
      `it has just ended: ffrtmp inspect ${seen.jobId}`,
    );
  try {
    const taken = ledger.takeOver(seen, self);
    // Its limits may have been changed since it was read.
    const job = taken && ledger.job(taken.key);
    if (job?.state !== "running") throw lostRace(context, seen);
    takeOverScope(context, job);
    const times = { atMs: host.now(), atBootMs: host.bootNow() };
    ledger.addEvent(job, { ...times, kind: "adopted", detail: { observer_pid: self.pid } });
    // A daemon with this ledger may be writing the gates and quotas of the same job. They are in the record, read inside.
    const enforcement = undoInGateLock(context, job, () => enforceLimits(context, runningNow(context, job)));
    return { ...enforcement, pidfd };
  } catch (error) {
    if (pidfd !== undefined) closeFd(pidfd);
    throw error;
  }
}

function runningNow({ ledger }: Context, job: RunningJob): RunningJob {
  const now = ledger.job(job.key);
  return now?.state === "running" ? now : job;
}

function rejectObserved(context: Context, { jobId, process, observer }: RunningJob): void {
  if (observer === null || !isAlive(context.host, observer)) return;
  throw observedBy(context, jobId, process.pid, observer);
}

function observedBy(context: Context, jobId: string, pid: number, observer: ProcessIdentity): Refusal {
  const daemon = findActiveDaemon(context);
  const stat = visible(() => readStat(context.host, pid));
  const name = stat === undefined ? `process ${pid}` : `process ${pid} (${stat.comm})`;
  const by =
    daemon && isSameProcess(observer, daemon) ? `ffrtmp watch, PID ${observer.pid}` : `PID ${observer.pid}`;
  return new Refusal(
    `cannot govern ${name}: it is governed already, as job ${jobId}, observed by ${by}`,
    `ffrtmp inspect ${jobId}`,
  );
}

/** Describes what another ffrtmp did to the job in the meantime. */
function lostRace(context: Context, { key, jobId, process }: RunningJob): Refusal {
  const current = context.ledger.job(key);
  if (current?.state === "running" && current.observer !== null)
    return observedBy(context, jobId, process.pid, current.observer);
  return new Refusal(`job ${jobId} has already ended`, `ffrtmp inspect ${jobId}`);
}
