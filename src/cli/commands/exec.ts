import { withAttachLock } from "../../jobs/attach/attach.ts";
import { detach } from "../../jobs/attach/detach.ts";
import type { Context } from "../../jobs/context.ts";
import type { Refusal } from "../../jobs/errors.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import { generateJobId } from "../../jobs/model/jobId.ts";
import { jobCgroupOf } from "../../jobs/placement/jobCgroup.ts";
import { governSelf } from "../../jobs/start/execWorkload.ts";
import { findCommand } from "../../jobs/start/findCommand.ts";
import { listInheritedFiles, readOwnArguments, restoreFileLimit } from "../../jobs/start/inheritedFiles.ts";
import { cannotRun, EXEC_ERRORS } from "../../jobs/start/startWorkload.ts";
import { realHost } from "../../linux/host.ts";
import { keepOnExec } from "../../sys/descriptor.ts";
import { errnoName } from "../../sys/errno.ts";
import { readWordsFile } from "../../sys/files.ts";
import { execute, resetSignalsOfRuntime } from "../../sys/ownProcess.ts";
import { type JobFlags, jobSpecFromFlags } from "../options/jobOptions.ts";
import { checkWorkingDirectory } from "../options/workingDirectory.ts";
import { warnOfLikelyMistakes, warnOfMissingLimits } from "../output/outcomes.ts";
import { openContext } from "../session.ts";
import { handOver } from "./handOver.ts";

export interface ExecFlags extends JobFlags {
  workdir?: string;
}

/**
 * Governs this process and replaces it with a command, which is the caller's own child: its PID, signals and exit code are those
 * that the caller sees. Nothing of ffrtmp remains. Returns only by an exception.
 */
export async function exec(command: string[], flags: ExecFlags): Promise<never> {
  const host = realHost();
  const inherited = listInheritedFiles(host);
  const [name = ""] = command;
  const spec = jobSpecFromFlags(flags, generateJobId(name, Date.now()));
  process.chdir(checkWorkingDirectory(flags.workdir));
  const found = findCommand(name, process.cwd(), process.env["PATH"]);
  if ("because" in found) throw cannotRun(name || JSON.stringify(name), found.because, found.exitCode);
  const context = openContext(flags);
  warnOfLikelyMistakes(context, spec.limits);
  const job = await withAttachLock(host, process.pid, () => governSelf(context, spec, command));
  warnOfMissingLimits(job);
  await leaveToObserver(context, job);
  for (const fd of inherited) keepOnExec(fd);
  restoreFileLimit(host);
  resetSignalsOfRuntime();
  const words = readOwnArguments(host).slice(-command.length);
  const errno = execute(found.path, words, readWordsFile(`${host.procRoot}/self/environ`));
  throw undone(context, job, name, errnoName(errno));
}

/** Lets a daemon observe the job. Without one, the next ffrtmp records its end. */
async function leaveToObserver(context: Context, job: RunningJob): Promise<void> {
  const { ledger } = context;
  if (!(await handOver(context, job))) ledger.takeOver(job, null);
  // The changes that wait for a lock of another process would end with this program.
  if (ledger.close() === 0) return;
  context.warn(`job ${job.jobId} is not recorded: its end will not be either, and its cgroups stay behind`);
}

/** Restores everything that was changed for a command that the kernel does not execute. */
function undone(context: Context, seen: RunningJob, name: string, errno: string): Refusal {
  const job = context.ledger.refresh(seen);
  const refusal = cannotRun(name, EXEC_ERRORS[errno] ?? errno, 126);
  if (job.state === "running")
    detach(context, job, jobCgroupOf(context, job), { kind: "never-started", reason: refusal.message });
  context.ledger.close();
  return refusal;
}
