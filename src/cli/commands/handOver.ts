import { askDaemon } from "../../daemon/askDaemon.ts";
import type { Context } from "../../jobs/context.ts";
import { isSameProcess, type RunningJob } from "../../jobs/model/job.ts";
import { jobCgroupOf, usageOf } from "../../jobs/placement/jobCgroup.ts";
import { isObserved } from "../../jobs/recovery/recover.ts";

/** This process has nothing else to do, and a daemon can be busy with its start. */
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * Asks the daemon of the state directory to observe a job that this process has started or governs. Returns whether it does: then
 * this process may leave, and the workload gets another parent. The ledger decides, whatever the daemon answered: it names
 * the daemon as the job's observer only after the daemon has opened a pidfd. If either process dies at any instant, the
 * ledger names a process that lives and observes the job, or one that is dead, whose jobs the next ffrtmp takes over.
 */
export async function handOver(context: Context, job: RunningJob): Promise<boolean> {
  const { ledger, state, self, host } = context;
  if (!isMeasured(context, job) || ledger.flush() > 0) return false;
  const answer = await askDaemon(state, { request: "observe", job: job.key }, ANSWER_TIMEOUT_MS);
  if (answer === "absent" || answer === "forbidden") return false;
  const current = ledger.job(job.key);
  if (current?.state !== "running") return current?.state === "ended";
  if (isSameProcess(current.observer, self)) return false;
  if (isObserved(context, current)) return true;
  // The daemon died after it had taken the job over.
  if (ledger.takeOver(current, self)) {
    const times = { atMs: host.now(), atBootMs: host.bootNow() };
    ledger.addEvent(job, { ...times, kind: "adopted", detail: { observer_pid: self.pid } });
  }
  return false;
}

/** Reports a result to the daemon that this process has recorded, because the job ended before it was handed over. */
export async function reportRecorded({ state }: Context, { key }: RunningJob): Promise<boolean> {
  const answer = await askDaemon(state, { request: "recorded", job: key });
  return typeof answer === "object" && answer.ok;
}

/** Returns whether the job's cgroup measures what wait(2) would report to its parent, and only to that. */
function isMeasured(context: Context, job: RunningJob): boolean {
  const { cpuUserUsec, memoryPeakBytes } = usageOf(job, jobCgroupOf(context, job));
  return cpuUserUsec !== null && memoryPeakBytes !== null;
}
