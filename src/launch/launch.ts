import { recordedCommand } from "../jobs/model/command.ts";
import { type StartingJob, toRunning } from "../jobs/model/job.ts";
import { generateJobId, groupName } from "../jobs/model/jobId.ts";
import { findCommand } from "../jobs/start/findCommand.ts";
import { isTerminal, listOpenFiles, type OpenFiles, restoreFileLimit } from "../jobs/start/inheritedFiles.ts";
import { mayHaveLostBytes } from "../jobs/start/rawArguments.ts";
import { rejectNoOrphansFlag } from "../jobs/start/runtimeFlags.ts";
import { spawnWorkload, type Workload } from "../jobs/start/spawn.ts";
import {
  abandonInboxFile,
  appendRunning,
  createInboxFile,
  type InboxFile,
} from "../ledger/inbox/inboxFile.ts";
import type { RunningLine } from "../ledger/inbox/inboxLines.ts";
import { locateState, type StateFiles } from "../ledger/location.ts";
import { rejectStrangers } from "../ledger/strangers.ts";
import { realCgroupFs } from "../linux/cgroupFs.ts";
import type { Host } from "../linux/host.ts";
import { readMemoryTotalBytes } from "../linux/memory.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import { bootMsOf, readStat } from "../linux/proc/stat.ts";
import { readBootMs } from "../sys/clock.ts";
import { describeCode } from "../sys/errno.ts";
import { isAccessible, readTextFile, statusOf, statusOfLink, X_OK } from "../sys/files.ts";
import { uuidV7 } from "../sys/uuid.ts";
import { nameOfLaunch, readCircumstances } from "./circumstances.ts";
import { readRunLine } from "./commandLine.ts";
import type { PlainJob } from "./end.ts";
import { arePlain } from "./plainCalls.ts";
import { parseLaunch, type RecordedLaunch } from "./recordedLaunch.ts";
import { Replay, type ReplayedScope } from "./replay.ts";

/** A workload that was started as an earlier one. */
export interface RepeatedLaunch {
  plain: PlainJob;
  /** The file of the inbox has the start. Otherwise another ffrtmp has moved the job into the ledger, or a write failed. */
  isRecorded: boolean;
  child: Bun.Subprocess;
  /** The descriptors that were open before this process opened any. */
  files: OpenFiles;
}

/** The machine that a launch acts on, and the function that starts a process there. */
interface Machine {
  host: Host;
  spawn: typeof spawnWorkload;
}

/** The machine as a launch sees it that is repeated. */
export const launchHost: Host = {
  procRoot: "/proc",
  cgroupFs: realCgroupFs,
  now: Date.now,
  bootNow: readBootMs,
};

/**
 * Starts the workload of a `run` by repeating the steps of an earlier one with the same options in the same circumstances.
 * `undefined` where there is no such record, or a step has another result than it had: everything is undone then, and the
 * full program plans the launch, as if nothing had been tried. `warn` reports what does not stop the launch.
 */
export function repeatLaunch(
  argv: readonly string[],
  warn: (message: string) => void,
  machine: Machine = { host: launchHost, spawn: spawnWorkload },
): RepeatedLaunch | undefined {
  let spawned: Spawned | undefined;
  try {
    const prepared = prepare(argv, machine.host);
    spawned = prepared && spawn(prepared, machine);
  } catch {
    // The full program meets the same fault, and explains it.
    return undefined;
  }
  // From here on a fault must not lead to a second launch.
  return spawned && finish(spawned, machine.host, warn);
}

interface Prepared {
  state: StateFiles;
  launch: RecordedLaunch;
  job: StartingJob;
  self: ProcessIdentity;
  workload: Workload;
  files: OpenFiles;
  path: string;
}

/** Finds what will be done. Changes nothing. */
function prepare(argv: readonly string[], host: Host): Prepared | undefined {
  const line = readRunLine(argv);
  if (line === undefined || mayHaveLostBytes([...line.words, ...line.command])) return undefined;
  const { words, command } = line;
  // Before any file is opened.
  const files = listOpenFiles(host);
  const state = locateState(undefined, process.env);
  const read = readCircumstances(host, words, state.directory);
  if (read === undefined) return undefined;
  const { circumstances, self } = read;
  const file = `${state.launches}/${nameOfLaunch(circumstances)}.json`;
  const text = readTextFile(file);
  for (const path of [file, `${state.inbox}/new`]) rejectStrangers(path);
  if (!isOwnFile(file)) return undefined;
  const createdMs = host.now();
  const jobId = generateJobId(command[0] as string, createdMs);
  const group = groupName(state.tag, jobId);
  const launch = parseLaunch(text, circumstances, group, createdMs);
  if (launch === undefined || !arePlain(launch, group) || !isSameMachine(launch, host)) return undefined;
  rejectNoOrphansFlag(process.env);
  const workingDirectory = launch.workdir ?? process.cwd();
  const found = findCommand(command[0] as string, workingDirectory, process.env["PATH"]);
  if ("because" in found) return undefined;
  const workload: Workload = {
    command,
    commandBytes: [],
    workingDirectory,
    standard: [isTerminal(host, 0) ? "ignore" : "inherit", "inherit", "inherit"],
    inherited: files.inherited,
  };
  const job: StartingJob = {
    ...launch.job,
    ...recordedCommand(command),
    state: "starting",
    key: uuidV7(createdMs),
    jobId,
    mode: "run",
    cwd: workingDirectory,
    uid: circumstances.uid,
    createdMs,
    observer: self,
    process: null,
    outcomes: [],
    carriedUsage: null,
    logPath: null,
  };
  return { state, launch, job, self, workload, files, path: found.path };
}

/** Returns whether this user alone can have written a file. */
function isOwnFile(path: string): boolean {
  const status = statusOfLink(path);
  return status?.type === "file" && status.uid === process.geteuid?.() && (status.mode & 0o022) === 0;
}

function isSameMachine({ workdir, memoryTotalBytes }: RecordedLaunch, host: Host): boolean {
  const canEnter =
    workdir === undefined || (statusOf(workdir)?.type === "directory" && isAccessible(workdir, X_OK));
  return canEnter && (memoryTotalBytes === undefined || memoryTotalBytes === readMemoryTotalBytes(host));
}

interface Spawned extends Prepared {
  inbox: InboxFile;
  replay: Replay;
  child: Bun.Subprocess;
}

/** Records the job and starts its workload. Throws after it has undone everything. */
function spawn(prepared: Prepared, { host, spawn: start }: Machine): Spawned | undefined {
  const { state, launch, job, workload, path } = prepared;
  // Before anything is done for the job.
  const inbox = createInboxFile(state.inbox, { job });
  if (typeof inbox !== "object") return undefined;
  const replay = new Replay(host, launch, scopeOf(launch, job, host));
  try {
    restoreFileLimit(host);
    if (!replay.prepare()) throw new Error("the machine has changed");
    const child = start(host, { ...workload, path, enters: launch.enters });
    return { ...prepared, inbox, replay, child };
  } catch (error) {
    // The job stays on record for as long as something of it may be in the system.
    if (replay.undo().length === 0) abandonInboxFile(inbox);
    throw error;
  }
}

/** Returns the scope that this process enters, as in the recorded launch. */
function scopeOf({ scope }: RecordedLaunch, { jobId }: StartingJob, host: Host): ReplayedScope | undefined {
  if (scope === undefined) return undefined;
  const { entry, origin } = scope;
  return {
    origin,
    enter() {
      // Required here, not imported: most launches ask systemd nothing.
      const { busOfSystemd }: typeof import("../linux/systemdBus.ts") = require("../linux/systemdBus.ts");
      const {
        enterScope,
      }: typeof import("../linux/systemd/ownScope.ts") = require("../linux/systemd/ownScope.ts");
      return enterScope(host, host.bus ?? busOfSystemd(), entry, jobId) === undefined;
    },
  };
}

/** Brings the starting thread back, and records the start. */
function finish(spawned: Spawned, host: Host, warn: (message: string) => void): RepeatedLaunch {
  const { launch, job, self, inbox, replay, child, files } = spawned;
  const failures = replay.finish();
  const effect = `this ffrtmp process stays in the cgroup of job ${job.jobId}, under its limits`;
  for (const { error, data, path } of failures)
    warn(`${effect}: ${describeCode(error)} writing "${data}" to ${path}`);
  // A child keeps its entry in /proc until its parent has waited for it.
  const stat = readStat(host, child.pid);
  const running: RunningLine["running"] = {
    process: { bootId: self.bootId, pid: child.pid, startTicks: stat === "gone" ? 0 : stat.startTicks },
    startedMs: host.now(),
    startedBootMs: stat === "gone" ? null : bootMsOf(stat.startTicks),
    ...launch.running,
  };
  const plain: PlainJob = {
    job: { ...toRunning(job, running), ...launch.running },
    registered: job,
    running,
    file: inbox,
  };
  return {
    plain,
    isRecorded: appendRunning(inbox, running) === "written",
    child,
    files,
  };
}
