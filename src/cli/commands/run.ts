import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import { generateJobId, type JobSpec } from "../../jobs/job.ts";
import { exitCodeOf, factsOfEnding } from "../../jobs/model/ending.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import {
  createProgressFile,
  removeProgressFile,
  trimProgressFile,
  whyWithoutProgress,
  withProgress,
} from "../../jobs/progressFile.ts";
import { isTerminal, listInheritedFiles, readOwnArguments } from "../../jobs/start/inheritedFiles.ts";
import { mayHaveLostBytes } from "../../jobs/start/rawArguments.ts";
import { rejectNoOrphansFlag } from "../../jobs/start/runtimeFlags.ts";
import { type StartedJob, type StartRequest, startWorkload } from "../../jobs/start/startWorkload.ts";
import { summaryLine, survivorsLine } from "../../jobs/summary.ts";
import { isPruningDue } from "../../ledger/retention.ts";
import { type Host, realHost } from "../../linux/host.ts";
import { type JobFlags, jobSpecFromFlags } from "../options/jobOptions.ts";
import { checkWorkingDirectory } from "../options/workingDirectory.ts";
import { printErr, warn } from "../output/messages.ts";
import { warnOfLikelyMistakes, warnOfMissingLimits } from "../output/outcomes.ts";
import type { ResultFile } from "../output/resultFile.ts";
import { openContext } from "../session.ts";
import { firstSignal, stopObserving, watchContinuations } from "../signals.ts";
import { dropJobLog, openJobLog, runInBackground, startReporting } from "./background.ts";

/** When a wrapper, which may wait for days, gives up what only the start needed, and notices its own stops. */
const SETTLE_AFTER_MS = 500;

/** ffmpeg writes 0.6 KB of progress each second. */
const TRIM_INTERVAL_MS = 10 * 60_000;

export interface RunFlags extends JobFlags {
  workdir?: string;
  detach?: boolean;
  resultFile?: string;
  progress?: boolean;
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
  const resultFile = new ResultFile(flags.resultFile);
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
  const { reportStart } = flags;
  if (flags.detach && reportStart === undefined) return runInBackground(flags, ["--job-id", spec.jobId]);

  const start = () => startJob({ ...spec, command, workingDirectory, inherited }, flags);
  const { context, job, ended } = reportStart === undefined ? start() : startReporting(reportStart, start);
  if (flags.tenant !== undefined) void warnOfTotal(context, job);
  let hasContinued: (() => Promise<boolean>) | undefined;
  setTimeout(() => {
    hasContinued = watchContinuations(context.host);
    void settle();
  }, SETTLE_AFTER_MS).unref();
  if (flags.progress) setInterval(() => trimProgressFile(context.state, job), TRIM_INTERVAL_MS).unref();
  const first = Promise.race([ended, firstSignal()]);
  if (reportStart !== undefined) {
    const { handOver } = await import("./handOver.ts");
    if (await handOver(context, job)) return 0;
  }
  const end = await first;
  if (typeof end === "string") {
    if (resultFile)
      warn(`the result of job ${job.jobId} is not written to ${resultFile.path}: this run does not wait`);
    return stopObserving(context, job, end);
  }
  const { result, isOurs, survivors } = recordExit(context, job, end.ending, {
    byParent: end.measured,
    ...((await hasContinued?.()) ? { time: "unseen" } : {}),
  });
  if (isOurs && reportStart !== undefined) {
    const { reportRecorded } = await import("./handOver.ts");
    await reportRecorded(context, job);
  }
  if (survivors.length > 0) warn(survivorsLine(job, survivors));
  if (resultFile || (isOurs && flags.json)) {
    const { resultJson } = await import("../../jobs/json.ts");
    const json = resultJson(job, result);
    resultFile?.write(json);
    if (isOurs) printErr(flags.json ? JSON.stringify(json) : summaryLine(job, result));
  } else if (isOurs) printErr(summaryLine(job, result));
  if (!isOurs)
    warn(`job ${job.jobId} was already recorded as ${factsOfEnding(result.ending).ending} before it ended`);
  await pruneIfDue(context);
  context.ledger.close();
  return exitCodeOf(end.ending);
}

async function warnOfTotal(context: Context, job: RunningJob): Promise<void> {
  const { warnOfMissingTotal } = await import("../output/tenantTotals.ts");
  warnOfMissingTotal(context, job);
}

/**
 * Returns the memory of the start to the kernel, 0.7 MB, and installs the signal filter. Before the spawn, the
 * workload would inherit the filter; now it is a process of its own, and the filter concerns the wrapper alone.
 */
async function settle(): Promise<void> {
  const { denySignals } = await import("../giveUp.ts");
  denySignals();
  Bun.shrink();
}

/** Deletes old history after the first `run` of a day, where no daemon does. The exit code never waits for a lock. */
async function pruneIfDue(context: Context): Promise<void> {
  const { ledger, host } = context;
  try {
    if (ledger.flush() > 0 || !isPruningDue(ledger, host.now())) return;
    const { pruneBriefly } = await import("./pruneAfterRun.ts");
    pruneBriefly(context);
  } catch (error) {
    warn(`cannot delete old history: ${error instanceof Error ? error.message : error}`);
  }
}

function startJob(
  request: Omit<StartRequest, "commandBytes" | "standard" | "logPath">,
  flags: RunFlags,
): StartedJob & { context: Context } {
  const context = openContext(flags);
  const { inherited, jobId, limits } = request;
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
    });
    warnOfMissingLimits(started.job);
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
