import { directoryOf, type Membership, readMembership } from "../../linux/cgroup/hierarchies.ts";
import { isOwnedByUs } from "../../linux/cgroup/trust.ts";
import { isForbidden } from "../../linux/host.ts";
import { isOutsideInitialNamespace } from "../../linux/proc/namespaces.ts";
import { directSlowFacts, type SlowFacts } from "../../linux/proc/slowFacts/slowFacts.ts";
import { hasEnded, type ProcStat, readStat } from "../../linux/proc/stat.ts";
import { readCredentials } from "../../linux/proc/status.ts";
import { isProcess } from "../../linux/proc/table.ts";
import type { Context } from "../context.ts";
import { isHookPath, jobIdOfGroup } from "../job.ts";
import type { Job } from "../model/job.ts";
import { jobAround } from "../placement/placement.ts";
import { findGovernedCgroup } from "./governedCgroup.ts";

/**
 * `explicit`: the operator named the process. `discovered`: the policy chose it. The answers differ in one case: a
 * process that the operator detached is governed again only when the operator names it.
 */
type Intent = "explicit" | "discovered";

/** A process that may be governed, with what was read to find that out. */
export interface Eligible {
  eligible: true;
  stat: ProcStat;
  membership: Membership;
}

export type IneligibleCode =
  | "gone"
  | "ended"
  | "hidden"
  | "self"
  | "init"
  | "kernel-thread"
  | "thread"
  | "ffrtmp"
  | "starting"
  | "governed"
  | "helper"
  | "detached";

/** A process that must not be governed. */
export interface Ineligible {
  eligible: false;
  code: IneligibleCode;
  /** `process 2 (kthreadd)` */
  process: string;
  /** A clause about the process: `it is a kernel thread`. */
  reason: string;
  /** The next step for the operator. */
  hint: string | undefined;
  /** An ffrtmp with another state directory governs the process, as far as can be seen. */
  byAnother?: boolean;
  /** The name of its cgroup then. */
  cgroup?: string;
  /** The job that governs the process. */
  governedBy?: string;
}

/** Checks whether a process may be governed. Changes nothing; attach, watch and their dry runs share it. */
export function checkEligibility(
  context: Context,
  pid: number,
  intent: Intent,
  slow?: SlowFacts,
): Eligible | Ineligible {
  const screened = screenProcess(context, pid);
  return "eligible" in screened ? screened : checkScreened(context, screened, intent, slow);
}

/**
 * The part of the check that reads only /proc/PID/stat, and returns that. The daemon screens every process that runs a
 * program, and asks the policy about it before it pays for `checkScreened`.
 */
export function screenProcess(context: Context, pid: number): ProcStat | Ineligible {
  return unlessHidden(pid, () => {
    const { host, self } = context;
    const stat = readStat(host, pid);
    if (stat === "gone") return gone(context, pid);
    if (pid === self.pid) return ineligible(stat, "self", "it is this ffrtmp process", NAME_WORKLOAD);
    if (pid === 1)
      return ineligible(stat, "init", "it is init, and a limit on it would apply to the whole machine");
    if (stat.isKernelThread) return ineligible(stat, "kernel-thread", "it is a kernel thread", NAME_WORKLOAD);
    if (hasEnded(stat))
      return ineligible(stat, "ended", `it has ended, and its parent ${stat.ppid} has not collected it yet`);
    return stat;
  });
}

/**
 * The rest of the check, for a screened process. Reads its cgroups first: after the start of a daemon, or after events
 * were lost, most of the processes that the policy chooses are governed already.
 */
export function checkScreened(
  context: Context,
  stat: ProcStat,
  intent: Intent,
  slow: SlowFacts = directSlowFacts(context.host),
): Eligible | Ineligible {
  return unlessHidden(stat.pid, () => {
    const { host, ledger, bootId } = context;
    const { pid, startTicks } = stat;
    const membership = readMembership(host, pid);
    if (membership === "gone") return gone(context, pid);
    const cgroup = findGovernedCgroup(context, membership);
    if (cgroup !== undefined) {
      // The cgroup may belong to a job of another state directory, which our ledger does not know.
      const reason = `it is governed already, inside ${cgroup.name}`;
      const hint = "detach that job first: ffrtmp ps, ffrtmp detach JOB";
      const governed = ineligible(stat, "governed", reason, hint);
      const jobId = jobIdOfGroup(cgroup.name);
      if (jobId !== undefined) governed.governedBy = jobId;
      return (
        ofOwnJob(context, stat) ??
        (cgroup.byAnother ? { ...governed, byAnother: true, cgroup: cgroup.name } : governed)
      );
    }
    // procfs answers for the ids of other threads, although it does not list them.
    if (!isProcess(host, pid)) {
      if (readStat(host, pid) === "gone") return gone(context, pid);
      const hint = "name the process that it belongs to: its Tgid in /proc";
      return ineligible(stat, "thread", "it is a thread, not a process", hint);
    }
    // The ledger knows the ffrtmp processes that an upgrade left running: their executable is another file than ours.
    if (runsOurFile(context, stat, slow) || ledger.isObserver({ bootId, pid, startTicks }))
      return ineligible(stat, "ffrtmp", "it is an ffrtmp process", NAME_WORKLOAD);
    if (intent === "discovered" && isOfDaemon(context, stat, membership))
      return ineligible(stat, "helper", STARTED_BY_DAEMON, NAME_WORKLOAD);
    const governed = ofOwnJob(context, stat) ?? governedAs(stat, jobAround(context, membership));
    if (governed) return governed;
    if (intent === "discovered" && ledger.wasDetached({ bootId, pid, startTicks })) {
      const hint = `to govern it by hand: ffrtmp attach --pid ${pid}`;
      const reason = `it was detached by hand, and is left alone until: ffrtmp attach --policy --pid ${pid}`;
      return ineligible(stat, "detached", reason, hint);
    }
    return { eligible: true, stat, membership };
  });
}

/**
 * Only root and the user of this process run ffrtmp in it for sure: with BUN_BE_BUN=1 in its environment, the runtime that is
 * compiled into the file runs any program. Not by the owner of /proc/PID, which is root for a process that is not dumpable.
 */
function runsOurFile({ host }: Context, stat: ProcStat, slow: SlowFacts): boolean {
  if (!slow.runsOurFile(stat)) return false;
  const credentials = readCredentials(host, stat.pid);
  return credentials !== "gone" && [0, process.geteuid?.()].includes(credentials.uid);
}

const STARTED_BY_DAEMON = "ffrtmp watch has started it, for on_end of the policy or to measure a job";

/** A deeper tree of processes is taken for none of a helper: the cgroup of a hook shows it where there is one. */
const MAX_HELPER_DEPTH = 16;

/**
 * Returns whether the command of `on_end` started a process, which must not become a job, whose end would start the command
 * again; or the meter, whose ffprobe belongs to no workload. By its cgroup, or else by its ancestors.
 */
function isOfDaemon(
  { host, hierarchies, helpers }: Context,
  stat: ProcStat,
  membership: Membership,
): boolean {
  for (const [key, cgroupPath] of membership) {
    if (!isHookPath(cgroupPath)) continue;
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    const name = cgroupPath.split("/").findIndex((part) => isHookPath(`/${part}`));
    const path = cgroupPath.split("/").slice(0, name + 1);
    const directory = hierarchy && directoryOf(hierarchy, path.join("/"));
    if (directory !== undefined && isOwnedByUs(host.cgroupFs, directory)) return true;
  }
  const pids = (helpers?.() ?? []).filter((pid) => pid !== undefined);
  let parent = stat.ppid;
  for (let depth = 0; pids.length > 0 && parent > 1 && depth < MAX_HELPER_DEPTH; depth++) {
    if (pids.includes(parent)) return true;
    const above = readStat(host, parent);
    parent = above === "gone" ? 0 : above.ppid;
  }
  return false;
}

/** The main process of a job, or a process that a launching ffrtmp has started and not yet recorded. */
function ofOwnJob({ ledger, bootId }: Context, stat: ProcStat): Ineligible | undefined {
  const { pid, ppid, startTicks } = stat;
  const governed = governedAs(stat, ledger.openJobOfProcess({ bootId, pid, startTicks }));
  const jobId = governed ? undefined : ledger.jobBeingStartedBy(bootId, ppid)?.jobId;
  if (jobId === undefined) return governed;
  const reason = `it is being started by ffrtmp run, as job ${jobId}`;
  return ineligible(stat, "starting", reason, `ffrtmp inspect ${jobId}`);
}

function governedAs(stat: ProcStat, job: Job | undefined): Ineligible | undefined {
  if (!job) return undefined;
  const reason = `it is governed already, as job ${job.jobId}`;
  const hint = `ffrtmp inspect ${job.jobId}`;
  return { ...ineligible(stat, "governed", reason, hint), governedBy: job.jobId };
}

const NAME_WORKLOAD = "name the workload's PID";

/** `comm` is absent where /proc/PID/stat could not be read. */
function ineligible(
  { pid, comm }: Pick<ProcStat, "pid"> & Partial<ProcStat>,
  code: IneligibleCode,
  reason: string,
  hint?: string,
): Ineligible {
  const process = comm === undefined ? `process ${pid}` : `process ${pid} (${comm})`;
  return { eligible: false, code, process, reason, hint };
}

function gone({ host }: Context, pid: number): Ineligible {
  const hint = isOutsideInitialNamespace(host, "pid")
    ? "a pid namespace of its own, as containers have, shows its own processes only, under PIDs of its own: ps -e"
    : "see what runs: ps -e";
  return ineligible({ pid }, "gone", "it does not exist", hint);
}

/** With the mount option hidepid=1, procfs lists the processes of other users and hides their files. */
function unlessHidden<T>(pid: number, check: () => T): T | Ineligible {
  try {
    return check();
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const hint = "run ffrtmp as root, or as the user of the process";
    return ineligible({ pid }, "hidden", "procfs hides it from this user", hint);
  }
}
