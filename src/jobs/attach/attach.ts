import type { Limits } from "../../limits/limits.ts";
import { CgroupInUse, createJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import type { Host } from "../../linux/host.ts";
import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { directSlowFacts, type SlowFacts } from "../../linux/proc/slowFacts/slowFacts.ts";
import type { ProcStat } from "../../linux/proc/stat.ts";
import { readOwner, readWorkingDirectory } from "../../linux/proc/table.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { lockDirectory } from "../../sys/fileLock.ts";
import { openPidfd } from "../../sys/pidfd.ts";
import { journalOf } from "../changes.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { recordExit } from "../exit/recordExit.ts";
import { type JobSpec, newJob } from "../job.ts";
import { governTree } from "../limits/applyToTree.ts";
import type { RunningJob, StartingJob } from "../model/job.ts";
import { openScope } from "../placement/jobScope.ts";
import { CgroupNameTaken, cgroupInUse, registerJob } from "../recovery/registerJob.ts";
import { withSchedulerLabels } from "../schedulerLabels.ts";
import { checkEligibility, checkScreened, type Eligible, type Ineligible } from "./eligibility.ts";
import { planAttach } from "./planAttach.ts";

/** The longest pause before the lock is tried again. Attaching takes some ms, a few tens on a busy machine. */
const MAX_LOCK_RETRY_MS = 128;

interface AttachedJob {
  job: RunningJob;
  pidfd: number | undefined;
}

/**
 * Governs a running process that the operator named, and its descendants. Sends them no signal. Throws a Refusal, having
 * changed nothing, when the process must not or cannot be governed. Call it in `withAttachLock`.
 */
export function attach(context: Context, pid: number, spec: JobSpec, slow?: SlowFacts): AttachedJob {
  const eligibility = checkEligibility(context, pid, "explicit", slow);
  if (eligibility.eligible) {
    const labelled = withSchedulerLabels(context, spec, eligibility.membership);
    return attachEligible(context, eligibility, "attach", labelled, slow);
  }
  const { code, process, reason, hint, cgroup } = eligibility;
  const message = code === "gone" ? `${process} does not exist` : `cannot govern ${process}: ${reason}`;
  throw cgroup === undefined ? new Refusal(message, hint) : new GovernedElsewhere(message, hint, cgroup);
}

/** The process is in a cgroup that an ffrtmp with another state directory has made, as far as can be seen. */
export class GovernedElsewhere extends Refusal {
  /** The name of that cgroup. */
  readonly cgroup: string;

  constructor(message: string, hint: string | undefined, cgroup: string) {
    super(message, hint);
    this.cgroup = cgroup;
  }
}

/**
 * Governs a process that `screenProcess` passed and the policy chose. Returns an ineligible process, because a daemon
 * meets many of them. `onEligible` is called before the first change. Call it in `withAttachLock`.
 */
export function attachDiscovered(
  context: Context,
  stat: ProcStat,
  spec: JobSpec,
  slow: SlowFacts,
  onEligible: () => void,
): AttachedJob | Ineligible {
  const eligibility = checkScreened(context, stat, "discovered", slow);
  if (!eligibility.eligible) return eligibility;
  onEligible();
  try {
    return attachEligible(context, eligibility, "watch", spec, slow);
  } catch (error) {
    if (!(error instanceof CgroupNameTaken)) throw error;
    // The id contains the PID: a process could make a cgroup of that name first, to be left alone. It cannot guess this.
    const jobId = `${spec.jobId}-${Math.floor(2 ** 32 * Math.random()).toString(16)}`;
    return attachEligible(context, eligibility, "watch", { ...spec, jobId }, slow);
  }
}

function attachEligible(
  context: Context,
  process: Eligible,
  mode: "attach" | "watch",
  spec: JobSpec,
  slow?: SlowFacts,
): AttachedJob {
  const { pid, startTicks } = process.stat;
  const pidfd = openProcessHandle(context.host, { bootId: context.bootId, pid, startTicks });
  if (pidfd === "gone") throw new Refusal(`process ${pid} does not exist`, "it has just ended");
  try {
    return { job: governProcess(context, process, mode, spec, slow), pidfd };
  } catch (error) {
    // A daemon is refused many processes in its life, and must not keep a descriptor of each.
    if (pidfd !== undefined) closeFd(pidfd);
    throw error;
  }
}

/**
 * Opens a pidfd, which names one process however its pid is reused. It is opened before the identity is checked: from then
 * on it can only name that process. Returns `undefined` on a kernel before 5.3, under a container's seccomp filter and with
 * too many open files; then only the start time identifies the process.
 */
export function openProcessHandle(host: Host, identity: ProcessIdentity): number | undefined | "gone" {
  const pidfd = openPidfd(identity.pid);
  if (isAlive(host, identity)) return pidfd < 0 ? undefined : pidfd;
  if (pidfd >= 0) closeFd(pidfd);
  return "gone";
}

/** Governs a process that no other program can replace meanwhile: the caller has a handle of it. */
export function governProcess(
  context: Context,
  target: Pick<Eligible, "stat" | "membership">,
  mode: "attach" | "watch",
  spec: JobSpec,
  slow: SlowFacts = directSlowFacts(context.host),
): RunningJob {
  const { host, bootId } = context;
  const { pid, startTicks, comm } = target.stat;
  const process: ProcessIdentity = { bootId, pid, startTicks };
  const { cgroup, scope } = planAttach(context, target, spec);
  const { words, isCut } = slow.commandLine(target.stat);
  const job = newJob(context, mode, spec, {
    process,
    command: words.length === 0 ? [comm] : words,
    commandCut: isCut,
    cwd: readWorkingDirectory(host, pid) ?? null,
    uid: readOwner(host, pid) ?? null,
    ...journalOf(cgroup, scope),
    logPath: null,
  });
  const start = () => ({ startedMs: host.now(), startedBootMs: host.bootNow() });
  return governPlanned(context, job, { process, cgroup, scope }, { total: spec.tenant?.limits, start });
}

/**
 * Records a job and governs its process as planned. `start` returns when the job begins; it is called when the process is
 * governed. `total` is the total of the job's tenant. `once`: as for `registerJob`.
 */
export function governPlanned(
  context: Context,
  job: StartingJob,
  { process, cgroup, scope }: ReturnType<typeof planAttach> & { process: ProcessIdentity },
  {
    total,
    start,
    once,
  }: {
    total: Limits | undefined;
    start: () => Pick<RunningJob, "startedMs" | "startedBootMs">;
    once?: boolean | undefined;
  },
): RunningJob {
  registerJob(context, job, { once });
  try {
    if (scope) openScope(context, job, scope);
    createJobCgroup(cgroup);
  } catch (error) {
    recordExit(context, job, { kind: "never-started", reason: String(error) });
    throw error instanceof CgroupInUse ? cgroupInUse(job, error) : error;
  }
  const governed = governTree(context, job, cgroup, process, { total });
  return context.ledger.recordRunning(governed.job, { process, ...start(), outcomes: governed.outcomes });
}

/**
 * Runs an action while no other ffrtmp attaches to the same process. The ledger decides between those that share one; two
 * with different state directories would both find the process ungoverned, and both move it. The lock is on the process's
 * directory in procfs: every ffrtmp sees that, the lock leaves nothing behind, and the process has no part in it.
 *
 * Any process that can open the directory can lock it for long, so after a quarter of a second the action runs without the
 * lock. Only this process waits for that: a timer tries the lock again.
 */
export async function withAttachLock<T>({ procRoot }: Host, pid: number, action: () => T): Promise<T> {
  let lock = lockDirectory(`${procRoot}/${pid}`);
  for (let delayMs = 1; lock === "locked" && delayMs <= MAX_LOCK_RETRY_MS; delayMs *= 2) {
    await Bun.sleep(delayMs);
    lock = lockDirectory(`${procRoot}/${pid}`);
  }
  try {
    return action();
  } finally {
    if (typeof lock === "number") closeFd(lock);
  }
}
