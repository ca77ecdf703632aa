import type { JobRecord } from "../../ledger/records.ts";
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
import type { Governor } from "../context.ts";
import { Refusal } from "../errors.ts";
import { closeJob, endedUnknown } from "../exit/recordExit.ts";
import { groupName, isGovernedPath, type JobWishes, newJob } from "../job.ts";
import { governTree } from "../limits/applyToTree.ts";
import { respectDisabled } from "../placement/disabledControllers.ts";
import { openScope } from "../placement/jobScope.ts";
import { jobAround, planPlace } from "../placement/placement.ts";
import { groupOf } from "../placement/tenants.ts";
import { beginOnRecord, governedAlready, groupInUse } from "../recovery/registerJob.ts";
import { claimProcess } from "./attachLock.ts";
import { holdProcess } from "./processHandle.ts";

/** A running process under governance, held by a descriptor that no reuse of its pid can redirect. */
export interface AttachedJob {
  job: JobRecord;
  /** `undefined` on kernels without pidfds (before 5.3). */
  pidfd: number | undefined;
}

/**
 * Takes a running process and its descendants under governance. It is sent nothing and stopped nowhere.
 * Throws Refusal, having changed nothing, when the process must not or cannot be governed.
 */
export function attach(
  governor: Governor,
  pid: number,
  mode: "attach" | "watch",
  wishes: JobWishes,
): AttachedJob {
  const release = claimProcess(governor.host, pid);
  try {
    return attachClaimed(governor, pid, mode, wishes);
  } finally {
    release();
  }
}

function attachClaimed(
  governor: Governor,
  pid: number,
  mode: "attach" | "watch",
  wishes: JobWishes,
): AttachedJob {
  const { host } = governor;
  const stat = checkGovernable(governor, pid);
  const identity: ProcessIdentity = { bootId: governor.bootId, pid, startTicks: stat.startTicks };
  const hold = holdProcess(host, identity);
  if (hold === "gone") throw new Refusal(`process ${pid} does not exist`, "it ended just now");

  try {
    return { job: governHeld(governor, stat, mode, wishes), pidfd: hold.pidfd };
  } catch (error) {
    // A daemon is refused many processes in its life, and must not keep a descriptor of each.
    if (hold.pidfd !== undefined) closeFd(hold.pidfd);
    throw error;
  }
}

/** The same for a process that the caller sees to: nothing of its life is asked again. */
export function governHeld(
  governor: Governor,
  stat: ProcStat,
  mode: "attach" | "watch",
  wishes: JobWishes,
): JobRecord {
  const { host, ledger, bootId } = governor;
  const { pid, startTicks } = stat;
  const { cgroup, scope } = planAttached(governor, pid, wishes);
  const job = newJob(governor, mode, wishes, readArguments(host, pid));
  if (job.command.length === 0) job.command = [stat.comm];
  Object.assign(job, {
    pid,
    startTicks,
    cwd: readWorkingDirectory(host, pid) ?? null,
    uid: readOwner(host, pid) ?? null,
    cgroup: storeJobCgroup(cgroup),
  });
  beginOnRecord(governor, job);

  try {
    if (scope) openScope(governor, job, scope);
    createJobCgroup(cgroup);
  } catch (error) {
    closeJob(governor, job, endedUnknown("never_started", String(error)));
    throw error instanceof GroupInUse ? groupInUse(job, error) : error;
  }
  governTree(governor, job, cgroup, { bootId, pid, startTicks }, { total: wishes.tenant?.limits });
  ledger.change(job, {
    state: "running",
    startedMs: host.now(),
    cgroup: storeJobCgroup(cgroup),
    outcomes: job.outcomes,
  });
  return job;
}

function checkGovernable(governor: Governor, pid: number): ProcStat {
  const { host, ledger } = governor;
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
    ledger.openJobOfProcess(governor.bootId, pid, stat.startTicks) ??
    ledger.jobBeingStartedBy(governor.bootId, stat.ppid);
  if (known) throw governedAlready(name, known);
  const membership = readMembership(host, pid);
  const around = membership === "gone" ? undefined : jobAround(governor, membership);
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
  governor: Governor,
  pid: number,
  wishes: JobWishes,
): { cgroup: JobCgroup; scope: ReturnType<typeof planPlace>["scope"] } {
  const { host, hierarchies, state } = governor;
  const found = readMembership(host, pid);
  const membership: Membership = found === "gone" ? new Map() : found;
  const { place, scope } = planPlace(governor, pid, membership, wishes);
  const name = groupName(state.tag, wishes.jobId);
  const group = groupOf(state.tag, wishes.tenant);
  const { limits } = wishes;
  const cgroup = planJobCgroup(host.cgroupFs, hierarchies, membership, name, limits, group, place);
  respectDisabled(governor, cgroup);
  return { cgroup, scope };
}
