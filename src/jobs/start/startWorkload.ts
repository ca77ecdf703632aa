import { getPriority } from "node:os";
import type { Limits } from "../../limits/limits.ts";
import { type LimitOutcome, refusedInstead } from "../../limits/outcome.ts";
import type { Usage } from "../../limits/usage.ts";
import { backendOf } from "../../linux/cgroup/backends.ts";
import { CgroupInUse, createJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import type { Unavailable } from "../../linux/cgroup/controller.ts";
import { readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { applyCgroupLimits, executeLimits } from "../../linux/cgroup/jobLimits.ts";
import { planJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import {
  freeWrapperSlot,
  joinThread,
  leaveThread,
  limitWrapperSlot,
  moveToWrapperSlot,
} from "../../linux/cgroup/startingThread.ts";
import { readIdentity } from "../../linux/proc/identity.ts";
import { takeOnAttributes } from "../../linux/proc/taskAttributes.ts";
import type { ScopePlan } from "../../linux/systemd/scope.ts";
import { errnoOf } from "../../sys/errno.ts";
import { signalNumber } from "../../sys/waitStatus.ts";
import { journalOf, withCgroup } from "../changes.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { recordExit } from "../exit/recordExit.ts";
import { groupName, type JobSpec, newJob } from "../job.ts";
import { planWithNice } from "../limits/planLimits.ts";
import { type Ending, endingOfStatus } from "../model/ending.ts";
import type { Job, RunningJob, StartingJob } from "../model/job.ts";
import { respectDisabled } from "../placement/disabledControllers.ts";
import { enterOwnScope, planOwnScope } from "../placement/jobScope.ts";
import { cgroupInUse, registerJob } from "../recovery/registerJob.ts";
import { findCommand } from "./findCommand.ts";
import { restoreFileLimit, type StdioList, withInheritedFiles } from "./inheritedFiles.ts";
import { mayHaveLostBytes, viaShell } from "./rawArguments.ts";

export interface StartRequest extends JobSpec {
  command: string[];
  /** The words of the command as bytes; needed if they are not UTF-8. */
  commandBytes: Uint8Array[];
  workingDirectory: string;
  /** Descriptors 0 to 2 of the workload. */
  standard: StdioList;
  /** Descriptors above 2 that the workload inherits under the same number. */
  inherited: number[];
  logPath: string | null;
}

export interface StartedJob {
  job: RunningJob;
  /** Settles when the workload has ended; never rejects. */
  ended: Promise<{ ending: Ending; measured: Partial<Usage> }>;
}

/** The command could not be started. The exit codes are those of shells. */
class CannotExecute extends Refusal {
  readonly exitCode: 126 | 127;

  constructor(exitCode: 126 | 127, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Starts a workload in its own session and process group, inside its cgroup from its first instruction.
 *
 * The job is recorded before the workload exists, with the name of its cgroup: whenever this process dies,
 * the next ffrtmp finds what was started. Throws a Refusal after it has undone everything.
 */
export function startWorkload(context: Context, request: StartRequest): StartedJob {
  const [command = ""] = request.command;
  const found = findCommand(command, request.workingDirectory, process.env["PATH"]);
  if ("because" in found)
    throw new CannotExecute(
      found.exitCode,
      `cannot run ${command || JSON.stringify(command)}: ${found.because}`,
    );

  const scope = planOwnScope(context, request.jobId, request.limits);
  let cgroup = planCgroup(context, request, scope);
  let job = newJob(context, "run", request, {
    process: null,
    command: request.command,
    cwd: request.workingDirectory,
    uid: process.geteuid?.() ?? null,
    ...journalOf(cgroup, scope),
    logPath: request.logPath,
  });
  registerJob(context, job);

  let outcomes: LimitOutcome[];
  let child: Bun.Subprocess;
  try {
    if (scope) ({ job, cgroup } = enterScope(context, job, request, scope));
    respectDisabled(context, cgroup);
    createJobCgroup(cgroup);
    ({ child, outcomes } = spawnInside(context, cgroup, request, found.path));
  } catch (error) {
    recordExit(context, job, { kind: "never-started", reason: messageOf(error) });
    throw asRefusal(error, job);
  }

  const identity = readIdentity(context.host, child.pid);
  const running = context.ledger.recordRunning(job, {
    process: {
      bootId: context.bootId,
      pid: child.pid,
      // A child keeps its entry in /proc until its parent has waited for it.
      startTicks: identity === "gone" ? 0 : identity.startTicks,
    },
    startedMs: context.host.now(),
    outcomes,
    journal: withCgroup(job, cgroup),
  });
  return { job: running, ended: waitFor(child) };
}

/** Plans the job's cgroup as a child of the planned scope, or else of this process's cgroup. */
function planCgroup(
  { host, hierarchies, state, ledger }: Context,
  { jobId, limits }: StartRequest,
  scope: ScopePlan | undefined,
): JobCgroup {
  const found = readMembership(host, "self");
  const membership = new Map(found === "gone" ? [] : found);
  if (scope) membership.set("", scope.cgroupPath);
  return planJobCgroup(host.cgroupFs, hierarchies, membership, {
    name: groupName(state.tag, jobId),
    limits,
    hasWrapperSlot: true,
    shared: () => ledger.sharedChanges(),
  });
}

/** Enters the job's scope. If that fails, the workload runs in a child of this process's cgroup. */
function enterScope(
  context: Context,
  job: StartingJob,
  request: StartRequest,
  scope: ScopePlan,
): { job: StartingJob; cgroup: JobCgroup } {
  const refusal = enterOwnScope(context, scope, request.jobId);
  if (refusal === undefined) return { job, cgroup: planCgroup(context, request, scope) };
  context.warn(
    `job ${request.jobId} has no scope of its own, so it ends when the unit that started it is stopped: ${refusal}`,
  );
  const cgroup = planCgroup(context, request, undefined);
  return { job: context.ledger.recordJournal(job, journalOf(cgroup)), cgroup };
}

function spawnInside(
  context: Context,
  cgroup: JobCgroup,
  request: StartRequest,
  path: string,
): { child: Bun.Subprocess; outcomes: LimitOutcome[] } {
  const { limits } = request;
  // v1: this thread joins the cgroup, so that its child is created there, without a shell in between or a
  // later move. The thread counts against the pids limit, which is one higher until the thread leaves.
  const firstLimits = withWrapperSlot(cgroup, limits);
  if (firstLimits.pidsMax !== undefined) limitWrapperSlot(cgroup, firstLimits.pidsMax);
  const nice = limits.nice ?? getPriority();
  const outcomes = executeLimits(cgroup, planWithNice(cgroup, firstLimits, nice));
  restoreFileLimit(context.host);
  const attributes = takeOnAttributes(context.host, limits);
  const unavailable = joinThread(cgroup);
  let child: Bun.Subprocess;
  try {
    child = spawn(cgroup, request, path);
    if (firstLimits !== limits) {
      moveToWrapperSlot(cgroup);
      replaceOutcome(outcomes, applyCgroupLimits(cgroup, { pidsMax: limits.pidsMax as number }));
    }
  } finally {
    for (const { because } of leaveThread(cgroup)) {
      context.warn(
        `this ffrtmp process stays in the cgroup of job ${request.jobId}, under its limits: ${because}`,
      );
    }
    freeWrapperSlot(cgroup);
    attributes.undo();
  }
  return { child, outcomes: [...withdrawHindered(outcomes, cgroup, unavailable), ...attributes.outcomes] };
}

function spawn(cgroup: JobCgroup, request: StartRequest, path: string): Bun.Subprocess {
  const entered = cgroup.directories.find(({ hierarchy }) => backendOf(hierarchy).clonesIntoCgroup);
  const isRaw = mayHaveLostBytes(request.command);
  return Bun.spawn({
    cmd: isRaw ? viaShell(path, request.commandBytes) : [path, ...request.command.slice(1)],
    ...(isRaw ? {} : { argv0: request.command[0] as string }),
    // Left out for the current directory: that may be inherited although it could not be entered again.
    ...(request.workingDirectory === process.cwd() ? {} : { cwd: request.workingDirectory }),
    detached: true,
    stdio: withInheritedFiles(request.standard, request.inherited),
    ...(entered ? { cgroup: entered.path } : {}),
  });
}

/** Adds one slot of pids.max for this thread, where it joins the job's cgroup before the workload is started. */
function withWrapperSlot({ directories }: JobCgroup, limits: Limits): Limits {
  const isEntered = directories.some(
    ({ hierarchy, controllers }) =>
      !backendOf(hierarchy).clonesIntoCgroup &&
      controllers.some((controller) => controller.limits["pids.max"]),
  );
  if (!isEntered || limits.pidsMax === undefined) return limits;
  return { ...limits, pidsMax: limits.pidsMax + 1 };
}

function replaceOutcome(outcomes: LimitOutcome[], replacements: LimitOutcome[]): void {
  for (const replacement of replacements) {
    const index = outcomes.findIndex(({ limit }) => limit === replacement.limit);
    outcomes.splice(index, 1, replacement);
  }
}

/** Reports limits in cgroups that the workload could not join as refused. */
function withdrawHindered(
  outcomes: LimitOutcome[],
  cgroup: JobCgroup,
  unavailable: Unavailable[],
): LimitOutcome[] {
  return outcomes.map((outcome) => {
    const missing = unavailable.find(({ controller }) =>
      cgroup.directories.some((directory) =>
        directory.controllers.some(({ name, limits }) => name === controller && outcome.limit in limits),
      ),
    );
    if (!missing) return outcome;
    return refusedInstead(outcome, missing.because);
  });
}

async function waitFor(child: Bun.Subprocess): Promise<{ ending: Ending; measured: Partial<Usage> }> {
  await child.exited;
  const usage = child.resourceUsage();
  const measured: Partial<Usage> = usage
    ? {
        cpuUserUsec: Number(usage.cpuTime.user),
        cpuSystemUsec: Number(usage.cpuTime.system),
        memoryPeakBytes: usage.maxRSS,
      }
    : {};
  return { ending: endingOf(child), measured };
}

function endingOf({ exitCode, signalCode }: Bun.Subprocess): Ending {
  if (signalCode === null && exitCode !== null) return endingOfStatus(exitCode << 8, "parent");
  const signal = typeof signalCode === "string" ? signalNumber(signalCode) : signalCode;
  if (signal) return endingOfStatus(signal, "parent");
  return {
    kind: "exit-unknown",
    reason: `the runtime reported neither an exit code nor a known signal (${signalCode})`,
  };
}

function asRefusal(error: unknown, job: Job): Refusal {
  if (error instanceof CgroupInUse) return cgroupInUse(job, error);
  const meaning = EXEC_ERRORS[errnoOf(error) ?? ""] ?? messageOf(error);
  return new CannotExecute(126, `cannot run ${job.command[0]}: ${meaning}`);
}

const EXEC_ERRORS: Record<string, string> = {
  ENOENT: "the interpreter in its first line or its ELF header does not exist",
  EACCES: "EACCES: its file system is mounted noexec, or this user may not read and execute it",
  EPERM: "EPERM: the kernel or a security module does not let this user execute it",
  ENOEXEC: "it is not a program for this machine; a script needs a first line such as #!/bin/sh",
  E2BIG: "its arguments and environment are larger than the kernel allows",
  EAGAIN: "no further process is allowed: a pids limit or ulimit -u is reached",
  ENOMEM: "the kernel has no memory for a new process",
};

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
