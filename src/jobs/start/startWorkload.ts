import { getPriority } from "node:os";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { Place } from "../../linux/cgroup/backend.ts";
import { backendOf } from "../../linux/cgroup/backends.ts";
import { CgroupInUse, createJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import { hasOnlyCompanions } from "../../linux/cgroup/companion.ts";
import { type Membership, readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { applyCgroupLimits, executeLimits } from "../../linux/cgroup/jobLimits.ts";
import {
  freeWrapperSlot,
  joinThread,
  leaveThread,
  limitWrapperSlot,
  moveThreadOut,
  moveToWrapperSlot,
} from "../../linux/cgroup/startingThread.ts";
import { bootMsOf, readStat } from "../../linux/proc/stat.ts";
import { listThreads, moveStartedThreads } from "../../linux/proc/table.ts";
import { takeOnAttributes } from "../../linux/proc/taskAttributes.ts";
import type { ScopePlan } from "../../linux/systemd/scope.ts";
import { errnoOf } from "../../sys/errno.ts";
import { journalOf, withCgroup } from "../changes.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { recordExit } from "../exit/recordExit.ts";
import { type JobSpec, newJob } from "../job.ts";
import { planWithWeight } from "../limits/planLimits.ts";
import type { RunningJob, StartingJob } from "../model/job.ts";
import { planOwnPlace } from "../placement/beside.ts";
import { removeCompanion } from "../placement/companion.ts";
import { planCgroup, respectDisabled } from "../placement/jobCgroup.ts";
import { enterOwnScope, type OwnScope, planOwnScope } from "../placement/jobScope.ts";
import { withdrawFromOutsiders } from "../placement/moveTree.ts";
import { cgroupInUse, registerJob } from "../recovery/registerJob.ts";
import { withSchedulerLabels } from "../schedulerLabels.ts";
import { findCommand } from "./findCommand.ts";
import { restoreFileLimit } from "./inheritedFiles.ts";
import { type spawnWorkload, type Workload, type WorkloadEnd, waitForEnd } from "./spawn.ts";
import { type Identity, spawnAs } from "./spawnAs.ts";

/** Follows a launch, to record it. */
export interface LaunchObserver {
  /** The job is recorded, and nothing is changed for it yet. */
  registered(job: StartingJob): void;
  /** This process asks systemd for the scope of the job, and enters it. */
  entersScope(scope: OwnScope): void;
  /** The workload exists. `enters`: the cgroup that it was cloned into (v2). */
  spawned(enters: string | undefined): void;
}

export interface StartRequest extends JobSpec, Workload, Identity {
  logPath: string | null;
  /** The job is recorded, and its workload is about to start. */
  onRegistered?: () => void;
  observer?: LaunchObserver | undefined;
}

export interface StartedJob {
  job: RunningJob;
  /** Settles when the workload has ended; never rejects. */
  ended: Promise<WorkloadEnd>;
}

/**
 * Starts a workload in its own session and process group, inside its cgroup from its first instruction. The job is recorded
 * before the workload exists, with the name of its cgroup: whenever this process dies, the next ffrtmp finds what was
 * started. Throws a Refusal after it has undone everything.
 */
export function startWorkload(
  context: Context,
  request: StartRequest,
  start: typeof spawnWorkload = spawnAs(request),
): StartedJob {
  const { host, ledger, bootId } = context;
  const [command = ""] = request.command;
  const found = findCommand(command, request.workingDirectory, process.env["PATH"]);
  if ("because" in found) throw cannotRun(command || JSON.stringify(command), found.because, found.exitCode);

  const membership = ownMembership(context);
  const scope = planOwnScope(context, request, membership);
  let cgroup = planOwnCgroup(context, request, { scope, membership });
  // Not by variables: a recorded launch is repeated for as long as the cgroups are the same.
  const labelled = withSchedulerLabels(context, request, membership);
  let job = newJob(context, "run", labelled, {
    process: null,
    command: request.command,
    cwd: request.workingDirectory,
    uid: request.user?.uid ?? process.geteuid?.() ?? null,
    ...journalOf(cgroup, scope),
    logPath: request.logPath,
  });
  registerJob(context, job, request);
  request.onRegistered?.();
  request.observer?.registered(job);

  let outcomes: LimitOutcome[];
  let child: Bun.Subprocess;
  try {
    const refusal =
      scope && enterOwnScope(context, scope, request.jobId, (own) => request.observer?.entersScope(own));
    if (scope) cgroup = planOwnCgroup(context, request, { scope: refusal === undefined ? scope : undefined });
    if (refusal !== undefined) {
      const effect = "has no scope of its own, so it ends when the unit that started it is stopped";
      context.warn(`job ${request.jobId} ${effect}: ${refusal}`);
      job = ledger.recordJournal(job, journalOf(cgroup));
    }
    respectDisabled(context, cgroup);
    const wasBeside = isBeside(cgroup);
    createJobCgroup(cgroup);
    if (wasBeside && !isBeside(cgroup)) ({ job, cgroup } = createBelowInstead(context, job, cgroup, request));
    ({ child, outcomes } = spawnInside(context, cgroup, request, (enters) =>
      start(host, { ...request, path: found.path, enters }),
    ));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    recordExit(context, job, { kind: "never-started", reason });
    if (error instanceof CgroupInUse) throw cgroupInUse(job, error);
    throw cannotRun(command, EXEC_ERRORS[errnoOf(error) ?? ""] ?? reason, 126);
  }

  // A child keeps its entry in /proc until its parent has waited for it.
  const stat = readStat(host, child.pid);
  const running = ledger.recordRunning(job, {
    process: { bootId, pid: child.pid, startTicks: stat === "gone" ? 0 : stat.startTicks },
    startedMs: host.now(),
    startedBootMs: stat === "gone" ? null : bootMsOf(stat.startTicks),
    outcomes,
    ...withCgroup(job, cgroup),
  });
  return { job: running, ended: waitForEnd(child) };
}

/** Plans the job's cgroup as a child of the planned scope, or else beside or below this process's cgroup. */
function planOwnCgroup(
  context: Context,
  { jobId, limits }: StartRequest,
  {
    scope,
    place,
    membership: own = ownMembership(context),
  }: { scope?: ScopePlan | undefined; place?: Place; membership?: Membership } = {},
): JobCgroup {
  const membership = new Map(own);
  if (scope) membership.set("", scope.cgroupPath);
  return planCgroup(context, jobId, membership, {
    limits,
    tenant: null,
    place: place ?? planOwnPlace(context, membership),
    hasWrapperSlot: true,
    nice: getPriority(),
  });
}

function ownMembership({ host }: Context): Membership {
  const found = readMembership(host, "self");
  return found === "gone" ? new Map() : found;
}

/**
 * Creates the job's cgroup below this process's where the one beside it could not be created: the kernel refuses it for
 * example at the cgroup.max.descendants of a cgroup above. Returns the cgroup as it was planned and made in the end.
 */
function createBelowInstead(
  context: Context,
  job: StartingJob,
  { unavailable }: JobCgroup,
  request: StartRequest,
): { job: StartingJob; cgroup: JobCgroup } {
  const insteadOf = unavailable.at(-1)?.because ?? "the kernel refused it";
  const cgroup = planOwnCgroup(context, request, { place: { placedAs: "child", insteadOf } });
  const recorded = context.ledger.recordJournal(job, journalOf(cgroup));
  createJobCgroup(cgroup);
  return { job: recorded, cgroup };
}

function isBeside({ directories }: JobCgroup): boolean {
  return directories.some(({ placedAs }) => placedAs === "beside");
}

function spawnInside(
  context: Context,
  cgroup: JobCgroup,
  request: StartRequest,
  start: (enters: string | undefined) => Bun.Subprocess,
): { child: Bun.Subprocess; outcomes: LimitOutcome[] } {
  const { limits } = request;
  const { pidsMax } = limits;
  // v1: this thread joins the cgroup, so that its child is created there, without a shell in between or a
  // later move. The thread counts against the pids limit, which is one higher until the thread leaves.
  const takesSlot =
    pidsMax !== undefined &&
    cgroup.directories.some(
      ({ hierarchy, controllers }) =>
        !backendOf(hierarchy).clonesIntoCgroup &&
        controllers.some((controller) => controller.limits["pids.max"]),
    );
  if (takesSlot) limitWrapperSlot(cgroup, pidsMax + 1);
  const firstLimits = takesSlot ? { ...limits, pidsMax: pidsMax + 1 } : limits;
  let outcomes = executeLimits(cgroup, planWithWeight(cgroup, firstLimits, { nice: getPriority() }));
  restoreFileLimit(context.host);
  const attributes = takeOnAttributes(context.host, limits);
  const threads = listThreads(context.host, process.pid);
  const unavailable = joinThread(cgroup);
  let child: Bun.Subprocess;
  try {
    const entered = cgroup.directories.find(({ hierarchy }) => backendOf(hierarchy).clonesIntoCgroup);
    try {
      child = start(entered?.path);
      request.observer?.spawned(entered?.path);
    } catch (error) {
      // Before 5.7 the kernel lets no process begin in a cgroup of v2. A companion limits nothing.
      if (entered === undefined || !hasOnlyCompanions(entered.hierarchy)) throw error;
      removeCompanion(context.host, cgroup);
      child = start(undefined);
      request.observer?.spawned(undefined);
    }
    if (takesSlot) {
      moveToWrapperSlot(cgroup);
      const [own] = applyCgroupLimits(cgroup, { pidsMax });
      outcomes = outcomes.map((outcome) => (own && outcome.limit === own.limit ? own : outcome));
    }
  } finally {
    const effect = `this ffrtmp process stays in the cgroup of job ${request.jobId}, under its limits`;
    const stayed = leaveThread(cgroup);
    moveStartedThreads(context.host, threads, (tid) => stayed.push(...moveThreadOut(cgroup, tid)));
    for (const { because } of stayed) context.warn(`${effect}: ${because}`);
    freeWrapperSlot(cgroup);
    attributes.undo();
  }
  const { pid } = child;
  const outside = unavailable.map(({ controller, because }) => ({ controllers: [controller], pid, because }));
  return {
    child,
    outcomes: [...withdrawFromOutsiders(outcomes, cgroup, pid, outside), ...attributes.outcomes],
  };
}

/** The exit codes are those of shells. */
export function cannotRun(command: string, because: string, exitCode: 126 | 127): Refusal {
  return Object.assign(new Refusal(`cannot run ${command}: ${because}`), { exitCode });
}

export const EXEC_ERRORS: Record<string, string> = {
  ENOENT: "the interpreter in its first line or its ELF header does not exist",
  EACCES: "EACCES: its file system is mounted noexec, or this user may not read and execute it",
  EPERM: "EPERM: the kernel or a security module does not let this user execute it",
  ENOEXEC: "it is not a program for this machine; a script needs a first line such as #!/bin/sh",
  E2BIG: "its arguments and environment are larger than the kernel allows",
  EAGAIN: "no further process is allowed: a pids limit or ulimit -u is reached",
  ENOMEM: "the kernel has no memory for a new process",
};
