import { CgroupInUse, createJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import type { ProcStat } from "../../linux/proc/stat.ts";
import { readArguments, readOwner, readWorkingDirectory } from "../../linux/proc/table.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { journalOf } from "../changes.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { recordExit } from "../exit/recordExit.ts";
import { type JobSpec, newJob } from "../job.ts";
import { governTree } from "../limits/applyToTree.ts";
import type { RunningJob } from "../model/job.ts";
import { openScope } from "../placement/jobScope.ts";
import { cgroupInUse, registerJob } from "../recovery/registerJob.ts";
import { lockForAttach } from "./attachLock.ts";
import { checkEligibility, checkScreened, type Eligible, type Ineligible } from "./eligibility.ts";
import { planAttach } from "./planAttach.ts";
import { openProcessHandle } from "./processHandle.ts";

/** A running process under governance, held by a descriptor that no reuse of its pid can redirect. */
export interface AttachedJob {
  job: RunningJob;
  /** `undefined` on kernels without pidfds (before 5.3). */
  pidfd: number | undefined;
}

/**
 * Governs a running process that the operator named, and its descendants. Sends them nothing and stops them nowhere.
 * Throws Refusal, having changed nothing, when the process must not or cannot be governed.
 */
export function attach(context: Context, pid: number, spec: JobSpec): AttachedJob {
  const unlock = lockForAttach(context.host, pid);
  try {
    const eligibility = checkEligibility(context, pid, "explicit");
    if (!eligibility.eligible) throw refusalOf(pid, eligibility);
    return attachEligible(context, eligibility, "attach", spec);
  } finally {
    unlock();
  }
}

/**
 * Does the same for a process that `screenProcess` passed and the policy chose. Returns why the process may not be
 * governed: that is an answer, for a daemon meets such processes again and again. `onEligible` is called before the
 * work begins.
 */
export function attachDiscovered(
  context: Context,
  stat: ProcStat,
  spec: JobSpec,
  onEligible: () => void,
): AttachedJob | Ineligible {
  const unlock = lockForAttach(context.host, stat.pid);
  try {
    const eligibility = checkScreened(context, stat, "discovered");
    if (!eligibility.eligible) return eligibility;
    onEligible();
    return attachEligible(context, eligibility, "watch", spec);
  } finally {
    unlock();
  }
}

function attachEligible(
  context: Context,
  process: Eligible,
  mode: "attach" | "watch",
  spec: JobSpec,
): AttachedJob {
  const { pid, startTicks } = process.stat;
  const hold = openProcessHandle(context.host, { bootId: context.bootId, pid, startTicks });
  if (hold === "gone") throw new Refusal(`process ${pid} does not exist`, "it ended just now");

  try {
    return { job: governHeld(context, process, mode, spec), pidfd: hold.pidfd };
  } catch (error) {
    // A daemon is refused many processes in its life, and must not keep a descriptor of each.
    if (hold.pidfd !== undefined) closeFd(hold.pidfd);
    throw error;
  }
}

function refusalOf(pid: number, { code, process, reason, hint }: Ineligible): Refusal {
  if (code === "gone") return new Refusal(`process ${pid} does not exist`, hint);
  return new Refusal(`cannot govern ${process}: ${reason}`, hint);
}

/** Does the same for a process whose identity the caller has checked and keeps checking. */
export function governHeld(
  context: Context,
  { stat, membership }: Pick<Eligible, "stat" | "membership">,
  mode: "attach" | "watch",
  spec: JobSpec,
): RunningJob {
  const { host, ledger, bootId } = context;
  const { pid, startTicks } = stat;
  const process: ProcessIdentity = { bootId, pid, startTicks };
  const { cgroup, scope, limits } = planAttach(context, { stat, membership }, spec);
  const command = readArguments(host, pid);
  const job = newJob(context, mode, spec, {
    process,
    command: command.length === 0 ? [stat.comm] : command,
    cwd: readWorkingDirectory(host, pid) ?? null,
    uid: readOwner(host, pid) ?? null,
    ...journalOf(cgroup, scope),
    logPath: null,
  });
  registerJob(context, job);

  try {
    if (scope) openScope(context, job, scope);
    createJobCgroup(cgroup);
  } catch (error) {
    recordExit(context, job, { kind: "never-started", reason: String(error) });
    throw error instanceof CgroupInUse ? cgroupInUse(job, error) : error;
  }
  const governed = governTree(context, job, cgroup, process, limits);
  return ledger.recordRunning(governed.job, {
    process,
    startedMs: host.now(),
    outcomes: governed.outcomes,
  });
}
