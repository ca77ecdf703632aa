import { type RunningJob, type StartingJob, toRunning } from "../jobs/model/job.ts";
import type { InboxFile } from "../ledger/inbox/inboxFile.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import { blockStopSignals, hasEnded, unblockStopSignals } from "../sys/childWait.ts";
import { closeFd, keepOnExec } from "../sys/descriptor.ts";
import { readWordsFile, statusOf } from "../sys/files.ts";
import { executeAgain } from "../sys/ownProcess.ts";
import { openPidfd } from "../sys/pidfd.ts";
import type { LaunchedJob } from "./end.ts";

/** The variable that tells a new start of this program which child it waits for. */
const WAITING = "FFRTMP_WAITING";
/** The kernel takes no longer variable: MAX_ARG_STRLEN, execve(2). */
const MAX_VARIABLE_BYTES = 128 * 1024;

/** The options of a `run` that its end depends on. */
export interface RunOptions {
  statePath?: string;
  json?: boolean;
  /** It is the background copy of `--detach`. */
  isInBackground?: boolean;
}

/** A job whose workload is a child of this process. `file`: its record is in the inbox; absent: it is in the ledger. */
type WaitingJob = Pick<LaunchedJob, "registered" | "running"> & {
  readonly file?: InboxFile;
  readonly options?: RunOptions;
};

/** The same in a new start of this process, with the PID of the child. */
export type TakenOverJob = LaunchedJob & WaitingJob & { readonly pid: number };

/**
 * Replaces this process with a new start of the same program, which waits for the child `pid` and has nothing else in its
 * memory: execve(2) keeps the PID, the children, open files, ignored signals and the signal filter. Returns if that is not
 * possible; this start waits then. `callersFiles`: descriptors that the caller opened, such as a lock; the runtime has set
 * close-on-exec on them.
 */
export function continueInNewStart(
  { registered, running, file, options }: WaitingJob,
  pid: number,
  callersFiles: readonly number[],
): void {
  const { process, startedMs, startedBootMs, outcomes, cgroup, changes } = running;
  const facts = { process, startedMs, startedBootMs, outcomes, cgroup, changes };
  const waiting = { registered, running: facts, file, options, pid };
  const variable = new TextEncoder().encode(`${WAITING}=${JSON.stringify(waiting)}`);
  if (variable.length >= MAX_VARIABLE_BYTES || !isOwnExecutable() || !hasPidfds(pid)) return;
  for (const fd of [...callersFiles, ...(file === undefined ? [] : [file.fd])]) keepOnExec(fd);
  const argv = readWordsFile("/proc/self/cmdline");
  const environment = [...readWordsFile("/proc/self/environ"), variable];
  blockStopSignals();
  // Another thread may have received SIGCONT, of which a new start knows nothing: a workload that ended during the stop has no
  // exact end. This start has noticed both.
  executeAgain(argv, environment, () => !hasEnded(pid));
  unblockStopSignals();
}

/** Returns the job that this start has to wait for, once; `undefined` in a first start. */
export function takeWaitingJob(environment: NodeJS.ProcessEnv): TakenOverJob | undefined {
  const text = environment[WAITING];
  if (text === undefined) return undefined;
  delete environment[WAITING];
  const waiting = JSON.parse(text) as Omit<TakenOverJob, "job">;
  const { registered, running } = waiting;
  return { ...waiting, job: { ...toRunning(registered, running), ...running } };
}

/** Returns a running job of this process as it was registered. */
export function asRegistered(job: RunningJob, self: ProcessIdentity): StartingJob {
  const { startedMs: _, startedBootMs: __, ...fields } = job;
  return { ...fields, state: "starting", observer: self, process: null };
}

/** After an upgrade the file is another version, which may not know the variable. */
function isOwnExecutable(): boolean {
  const [file, own] = [statusOf(process.execPath), statusOf("/proc/self/exe")];
  return file !== undefined && file.ino === own?.ino && file.dev === own.dev;
}

function hasPidfds(pid: number): boolean {
  const pidfd = openPidfd(pid);
  if (pidfd >= 0) closeFd(pidfd);
  return pidfd >= 0;
}
