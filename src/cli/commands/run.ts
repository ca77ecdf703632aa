import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import type { JobSpec } from "../../jobs/job.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import { generateJobId } from "../../jobs/model/jobId.ts";
import {
  createProgressFile,
  removeProgressFile,
  whyWithoutProgress,
  withProgress,
} from "../../jobs/progressFile.ts";
import { isTerminal, listInheritedFiles, readOwnArguments } from "../../jobs/start/inheritedFiles.ts";
import { mayHaveLostBytes } from "../../jobs/start/rawArguments.ts";
import { rejectNoOrphansFlag } from "../../jobs/start/runtimeFlags.ts";
import { type StartedJob, type StartRequest, startWorkload } from "../../jobs/start/startWorkload.ts";
import { hasCommand, readRunLine } from "../../launch/commandLine.ts";
import { LaunchRecorder } from "../../launch/recorder.ts";
import { locateState } from "../../ledger/location.ts";
import { type Host, realHost } from "../../linux/host.ts";
import { identityFrom } from "../options/identityOptions.ts";
import { type JobFlags, jobSpecFromFlags } from "../options/jobOptions.ts";
import { checkWorkingDirectory } from "../options/workingDirectory.ts";
import { listenToWarnings, warn } from "../output/messages.ts";
import { warnOfLikelyMistakes, warnOfMissingLimits } from "../output/outcomes.ts";
import type { ResultFile } from "../output/resultFile.ts";
import { openContext } from "../session.ts";
import { dropJobLog, openJobLog, runInBackground, startReporting } from "./background.ts";
import { observeRun } from "./observeRun.ts";

export interface RunFlags extends JobFlags {
  workdir?: string;
  detach?: boolean;
  resultFile?: string;
  progress?: boolean;
  user?: string;
  setenv?: Record<string, string>;
  /** The descriptor to which the background copy of `--detach` reports the start. Only that copy has it. */
  reportStart?: number;
}

/** Starts a command, waits for it and returns its exit code, as a shell does. */
export async function run(command: string[], flags: RunFlags): Promise<number> {
  const inherited = listInheritedFiles(realHost());
  const spec = jobSpecFromFlags(flags, generateJobId(command[0] as string, Date.now()));
  if (flags.resultFile === undefined) return runJob(command, flags, inherited, spec);
  if (flags.detach)
    throw new Refusal(
      "--result-file needs a run that waits for the end of the command, which --detach does not",
      "omit one of them; ffrtmp inspect JOB --json has the result of a job in the background",
    );
  const { ResultFile } = await import("../output/resultFile.ts");
  const resultFile = new ResultFile(flags.resultFile, { whenStarted: flags.once ?? false });
  return runJob(command, flags, inherited, spec, resultFile).catch((error) => {
    if (error instanceof Refusal) resultFile.writeFailure(spec, command, error.message);
    throw error;
  });
}

async function runJob(
  command: string[],
  flags: RunFlags,
  inherited: number[],
  spec: JobSpec,
  resultFile?: ResultFile,
): Promise<number> {
  rejectNoOrphansFlag(process.env);
  const workingDirectory = checkWorkingDirectory(flags.workdir);
  const identity = identityFrom(flags);
  const { reportStart } = flags;
  if (flags.detach && reportStart === undefined) return runInBackground(flags, ["--job-id", spec.jobId]);

  const start = () =>
    startJob({ ...spec, ...identity, command, workingDirectory, inherited }, flags, resultFile);
  const { context, job, ended } = reportStart === undefined ? start() : startReporting(reportStart, start);
  if (flags.tenant !== undefined) void warnOfTotal(context, job);
  return observeRun(
    { context, job, ended },
    { ...flags, resultFile, inherited: reportStart === undefined ? inherited : [] },
  );
}

async function warnOfTotal(context: Context, job: RunningJob): Promise<void> {
  const { warnOfMissingTotal } = await import("../output/tenantTotals.ts");
  warnOfMissingTotal(context, job);
}

/** Returns what records this launch for the next `run` with the same options; `undefined` for options it cannot stand for. */
function createRecorder(
  flags: RunFlags,
  { command, workingDirectory }: Pick<StartRequest, "command" | "workingDirectory">,
): LaunchRecorder | undefined {
  const { detach, json, jobId, tenant, placement, statePath, resultFile, reportStart, progress, workdir } =
    flags;
  const { user, setenv } = flags;
  const special = [
    detach,
    json,
    jobId,
    tenant,
    placement,
    statePath,
    resultFile,
    reportStart,
    progress,
    user,
    setenv,
  ];
  const line = readRunLine(process.argv);
  if (special.some((flag) => flag !== undefined) || line === undefined) return undefined;
  if (!hasCommand(line, command) || mayHaveLostBytes([...line.words, ...command])) return undefined;
  if (workdir !== undefined && !workdir.startsWith("/")) return undefined;
  const state = locateState(undefined, process.env);
  const recorder = new LaunchRecorder(realHost(), state, {
    words: line.words,
    workdir: workdir === undefined ? undefined : workingDirectory,
  });
  listenToWarnings(() => recorder.warned());
  return recorder;
}

function startJob(
  request: Omit<StartRequest, "commandBytes" | "standard" | "logPath">,
  flags: RunFlags,
  resultFile: ResultFile | undefined,
): StartedJob & { context: Context } {
  const { inherited, jobId, limits } = request;
  const recorder = createRecorder(flags, request);
  const context = openContext(flags, undefined, recorder?.host);
  warnOfLikelyMistakes(context, limits);
  const progress = flags.progress ? prepareProgress(context, request) : undefined;
  const command = progress ? withProgress(request.command, "-progress", progress) : request.command;
  const log = flags.reportStart === undefined ? null : openJobLog(context, jobId);
  const stdin = isTerminal(realHost(), 0) ? "ignore" : "inherit";
  try {
    const started = startWorkload(context, {
      ...request,
      command,
      commandBytes: mayHaveLostBytes(command) ? bytesOf(context.host, request.command, progress) : [],
      standard: log ? ["ignore", log.fd, log.fd] : [stdin, "inherit", "inherit"],
      inherited: log ? [] : inherited,
      logPath: log?.path ?? null,
      onRegistered: () => resultFile?.started(),
      observer: recorder,
    });
    warnOfMissingLimits(started.job);
    recorder?.save(started.job);
    listenToWarnings(undefined);
    return { context, ...started };
  } catch (error) {
    if (log && error instanceof Refusal) dropJobLog(log);
    if (progress) removeProgressFile(context.state, { mode: "run", jobId, command });
    throw error;
  }
}

/** Creates the file of `--progress`. Returns its path; without one, the job starts as without the option. */
function prepareProgress({ state }: Context, { command, jobId }: Pick<StartRequest, "command" | "jobId">) {
  const reason = whyWithoutProgress(command);
  if (reason === "not ffmpeg") warn("--progress has no effect: the command is not ffmpeg");
  if (reason !== undefined) return undefined;
  try {
    return createProgressFile(state, jobId);
  } catch (error) {
    const because = error instanceof Error ? error.message : error;
    warn(`cannot create a file for --progress, and job ${jobId} starts without it: ${because}`);
    return undefined;
  }
}

/** Returns the words of the command as bytes, with those that were inserted. */
function bytesOf(host: Host, given: readonly string[], progress: string | undefined): Uint8Array[] {
  const words = readOwnArguments(host).slice(-given.length);
  const encode = (word: string) => new TextEncoder().encode(word);
  return progress ? withProgress(words, encode("-progress"), encode(progress)) : words;
}
