import { type Membership, readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { createJobCgroup, GroupInUse } from "../../linux/cgroup/makeJobCgroup.ts";
import { planJobCgroup, storeJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import { readProcFile } from "../../linux/host.ts";
import { isInOwnNamespace } from "../../linux/namespaces.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { hasEnded, type ProcStat, readStat } from "../../linux/proc/stat.ts";
import { readArguments, readOwner, readWorkingDirectory } from "../../linux/proc/table.ts";
import { closeFd } from "../../sys/pidfd.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { recordExit } from "../exit/recordExit.ts";
import { groupName, isGovernedPath, type JobSpec, newJob } from "../job.ts";
import { governTree } from "../limits/applyToTree.ts";
import type { RunningJob } from "../model/job.ts";
import { respectDisabled } from "../placement/disabledControllers.ts";
import { openScope } from "../placement/jobScope.ts";
import { jobAround, planPlace } from "../placement/placement.ts";
import { groupOf } from "../placement/tenants.ts";
import { governedAlready, groupInUse, registerJob } from "../recovery/registerJob.ts";
import { lockForAttach } from "./attachLock.ts";
import { openProcessHandle } from "./processHandle.ts";

/** A running process under governance, held by a descriptor that no reuse of its pid can redirect. */
export interface AttachedJob {
  job: RunningJob;
  /** `undefined` on kernels without pidfds (before 5.3). */
  pidfd: number | undefined;
}

/**
 * Takes a running process and its descendants under governance. It is sent nothing and stopped nowhere.
 * Throws Refusal, having changed nothing, when the process must not or cannot be governed.
 */
export function attach(context: Context, pid: number, mode: "attach" | "watch", spec: JobSpec): AttachedJob {
  const release = lockForAttach(context.host, pid);
  try {
    return attachLocked(context, pid, mode, spec);
  } finally {
    release();
  }
}

function attachLocked(context: Context, pid: number, mode: "attach" | "watch", spec: JobSpec): AttachedJob {
  const { host } = context;
  const stat = checkGovernable(context, pid);
  const identity: ProcessIdentity = { bootId: context.bootId, pid, startTicks: stat.startTicks };
  const hold = openProcessHandle(host, identity);
  if (hold === "gone") throw new Refusal(`process ${pid} does not exist`, "it ended just now");

  try {
    return { job: governHeld(context, stat, mode, spec), pidfd: hold.pidfd };
  } catch (error) {
    // A daemon is refused many processes in its life, and must not keep a descriptor of each.
    if (hold.pidfd !== undefined) closeFd(hold.pidfd);
    throw error;
  }
}

/** The same for a process that the caller sees to: nothing of its life is asked again. */
export function governHeld(
  context: Context,
  stat: ProcStat,
  mode: "attach" | "watch",
  spec: JobSpec,
): RunningJob {
  const { host, ledger, bootId } = context;
  const { pid, startTicks } = stat;
  const process: ProcessIdentity = { bootId, pid, startTicks };
  const { cgroup, scope } = planAttached(context, pid, spec);
  const command = readArguments(host, pid);
  const job = newJob(context, mode, spec, {
    process,
    command: command.length === 0 ? [stat.comm] : command,
    cwd: readWorkingDirectory(host, pid) ?? null,
    uid: readOwner(host, pid) ?? null,
    cgroup: storeJobCgroup(cgroup),
    logPath: null,
  });
  registerJob(context, job);

  try {
    if (scope) openScope(context, job, scope);
    createJobCgroup(cgroup);
  } catch (error) {
    recordExit(context, job, { kind: "never-started", reason: String(error) });
    throw error instanceof GroupInUse ? groupInUse(job, error) : error;
  }
  const governed = governTree(context, job, cgroup, process, { total: spec.tenant?.limits });
  return ledger.recordRunning(governed.job, {
    process,
    startedMs: host.now(),
    cgroup: storeJobCgroup(cgroup),
    outcomes: governed.outcomes,
  });
}

function checkGovernable(context: Context, pid: number): ProcStat {
  const { host, ledger } = context;
  const stat = readStat(host, pid);
  if (stat === "gone") {
    const isPart = isInOwnNamespace(host, "pid");
    throw new Refusal(
      `process ${pid} does not exist`,
      isPart
        ? "a pid namespace of its own, as containers have, shows its own processes only, under PIDs of its own: ps -e"
        : "see what runs: ps -e",
    );
  }
  const name = `process ${pid} (${stat.comm})`;
  if (pid === process.pid) throw new Refusal(`${name} is this ffrtmp itself`, "name the workload's PID");
  if (pid === 1) throw new Refusal(`${name} is init: a limit on it would be one on the whole machine`);
  if (stat.isKernelThread) throw new Refusal(`${name} is a thread of the kernel`, "name the workload's PID");
  if (hasEnded(stat)) {
    throw new Refusal(`${name} has ended already, its parent ${stat.ppid} has only not collected it yet`);
  }
  if (readProcFile(host, `${pid}/status`).match(/^Tgid:\s+(\d+)/m)?.[1] !== String(pid)) {
    throw new Refusal(
      `${pid} is a thread, not a process`,
      "name the process that it belongs to: its Tgid in /proc",
    );
  }
  const known =
    ledger.openJobOfProcess({ bootId: context.bootId, pid, startTicks: stat.startTicks }) ??
    ledger.jobBeingStartedBy(context.bootId, stat.ppid);
  if (known) throw governedAlready(name, known);
  const membership = readMembership(host, pid);
  const around = membership === "gone" ? undefined : jobAround(context, membership);
  if (around) throw governedAlready(name, around);
  const governed = membership === "gone" ? undefined : [...membership.values()].find(isGovernedPath);
  if (governed !== undefined) {
    const part = governed.split("/").findLast(isGovernedPath);
    throw new Refusal(
      `${name} is governed already, inside ${part}`,
      "release that job first: ffrtmp ps, ffrtmp detach JOB",
    );
  }
  return stat;
}

/** Where the job of a running process would lie, and the scope that is to be made for it. Writes nothing. */
export function planAttached(
  context: Context,
  pid: number,
  spec: JobSpec,
): { cgroup: JobCgroup; scope: ReturnType<typeof planPlace>["scope"] } {
  const { host, hierarchies, state } = context;
  const found = readMembership(host, pid);
  const membership: Membership = found === "gone" ? new Map() : found;
  const { place, scope } = planPlace(context, pid, membership, spec);
  const name = groupName(state.tag, spec.jobId);
  const group = groupOf(state.tag, spec.tenant);
  const { limits } = spec;
  const cgroup = planJobCgroup(host.cgroupFs, hierarchies, membership, name, limits, group, place);
  respectDisabled(context, cgroup);
  return { cgroup, scope };
}
