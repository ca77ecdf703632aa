import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import { readOwnArguments } from "../../jobs/start/inheritedFiles.ts";
import { mayHaveLostBytes, viaShell } from "../../jobs/start/rawArguments.ts";
import { locateState } from "../../ledger/location.ts";
import { createStateDirectory } from "../../ledger/stateFiles.ts";
import { rejectStrangers } from "../../ledger/strangers.ts";
import { realHost } from "../../linux/host.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { describeErrno } from "../../sys/errno.ts";
import { lockFile } from "../../sys/fileLock.ts";
import { openRegular } from "../../sys/regularFile.ts";
import type { JobFlags } from "../options/jobOptions.ts";
import { listenToWarnings, printJson, printOut, warn } from "../output/messages.ts";

const { O_APPEND, O_CREAT, O_EXCL, O_WRONLY } = constants;

/** The result of a start, which the background copy sends to the process that the user waits for. */
interface StartReport {
  /** Warnings for the user, which would otherwise reach only the log of ffrtmp. */
  warnings: string[];
  /** `null` where the job could not be started. */
  job: { jobId: string; pid: number } | null;
  refusal?: { message: string; hint: string | undefined; exitCode: number | undefined };
}

/** The descriptor of the background copy's end of the pipe. */
const REPORT_FD = 3;

/** Each background job writes a line of 120 bytes to the log of ffrtmp itself. */
const MAX_OWN_LOG_BYTES = 8 * 1024 ** 2;
/** Earlier logs that are kept, as ffrtmp.log.1 and so on. */
const KEPT_OWN_LOGS = 2;

/**
 * Starts a copy of this command in the background, as only a parent receives an exit code. Returns when the copy has
 * reported. `options`: more options for the copy.
 */
export async function runInBackground(flags: JobFlags, options: string[] = []): Promise<number> {
  const { ownLog: path, directory } = locateState(flags.statePath, process.env);
  const ownLog = openOwnLog(path, directory);
  const child = Bun.spawn({
    cmd: backgroundCommand(options),
    detached: true,
    stdio: ["ignore", ownLog, ownLog, "pipe"],
  });
  child.unref();
  closeSync(ownLog);
  const pipe = child.stdio[REPORT_FD];
  const text = typeof pipe === "number" ? await Bun.file(pipe).text() : "";
  if (text === "") throw new Refusal("the background process died while it started the job", `tail ${path}`);
  const { warnings, job, refusal } = JSON.parse(text) as StartReport;
  for (const warning of warnings) warn(warning);
  if (refusal) throw Object.assign(new Refusal(refusal.message, refusal.hint), refusal);
  if (job === null) throw new Error("the background process reported no job");
  if (flags.json) printJson({ job_id: job.jobId, pid: job.pid });
  else printOut(job.jobId);
  return 0;
}

/** Starts a job in the background copy, and reports the result to the waiting process. */
export function startReporting<T extends { job: RunningJob }>(fd: number, start: () => T): T {
  const warnings: string[] = [];
  listenToWarnings((message) => warnings.push(message));
  try {
    const started = start();
    reportStarted(fd, warnings, started.job);
    return started;
  } catch (error) {
    reportRefusal(fd, warnings, error);
    throw error;
  } finally {
    listenToWarnings(undefined);
  }
}

/** The same for `attach`, which waits while it governs a process. */
export async function attachReporting<T extends { job: RunningJob }>(
  fd: number,
  attach: () => Promise<T>,
): Promise<T> {
  const warnings: string[] = [];
  listenToWarnings((message) => warnings.push(message));
  try {
    const attached = await attach();
    reportStarted(fd, warnings, attached.job);
    return attached;
  } catch (error) {
    reportRefusal(fd, warnings, error);
    throw error;
  } finally {
    listenToWarnings(undefined);
  }
}

function reportStarted(fd: number, warnings: string[], { jobId, process }: RunningJob): void {
  report(fd, { warnings, job: { jobId, pid: process.pid } });
}

function reportRefusal(fd: number, warnings: string[], error: unknown): void {
  if (!(error instanceof Refusal)) return;
  const { message, hint, exitCode }: Refusal & { exitCode?: number } = error;
  report(fd, { warnings, job: null, refusal: { message, hint, exitCode } });
}

function report(fd: number, result: StartReport): void {
  try {
    writeSync(fd, JSON.stringify(result));
    closeSync(fd);
  } catch {
    // The waiting process is gone. The job still needs its observer.
  }
}

/** Opens the log of ffrtmp itself for appending, and begins a new one when it has become long. */
function openOwnLog(path: string, directory: string): number {
  const failure = `cannot write ${path}, which run --detach needs`;
  const open = () => openLog(path, directory, O_APPEND, failure);
  const fd = open();
  if (fstatSync(fd).size < MAX_OWN_LOG_BYTES) return fd;
  rotateOwnLog(path);
  closeSync(fd);
  return open();
}

/** Renames the log. Processes that have it open continue to write to it under its new name. */
function rotateOwnLog(path: string): void {
  const lock = lockFile(path);
  // Another ffrtmp renames it.
  if (typeof lock !== "number") return;
  try {
    const isCurrent = statSync(path).ino === fstatSync(lock).ino;
    if (!isCurrent || fstatSync(lock).size < MAX_OWN_LOG_BYTES) return;
    const names = [path, ...Array.from({ length: KEPT_OWN_LOGS }, (_, index) => `${path}.${index + 1}`)];
    for (const [index, name] of names.slice(0, -1).reverse().entries()) {
      if (existsSync(name)) renameSync(name, names[KEPT_OWN_LOGS - index] as string);
    }
  } catch (error) {
    warn(`cannot rename ${path}, which has become long: ${describeErrno(error)}`);
  } finally {
    closeFd(lock);
  }
}

type JobLog = { fd: number; path: string };

/** Creates the file for the output of a background job. Throws a Refusal where it cannot be created. */
export function openJobLog({ state, host }: Context, jobId: string): JobLog {
  const path = join(state.logs, `${jobId}-${host.now().toString(36)}.log`);
  return {
    fd: openLog(path, state.directory, O_EXCL | O_APPEND, `cannot create ${path} for the job's output`),
    path,
  };
}

/** Removes the empty log of a job that could not be started. */
export function dropJobLog({ fd, path }: JobLog): void {
  closeSync(fd);
  rmSync(path, { force: true });
}

function openLog(path: string, stateDirectory: string, flags: number, failure: string): number {
  try {
    rejectStrangers(path);
    createStateDirectory(stateDirectory);
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
    return openRegular(path, flags | O_CREAT | O_WRONLY, 0o640);
  } catch (error) {
    const hint = "ffrtmp run --state-path DIR …, with a writable directory";
    throw new Refusal(`${failure}: ${describeErrno(error)}`, hint);
  }
}

function backgroundCommand(options: string[]): string[] {
  const [subcommand = "", ...rest] = process.argv.slice(2);
  // The compiled executable, or the runtime with the main file.
  const program = Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main];
  const words = [...program, subcommand, "--report-start", String(REPORT_FD), ...options];
  if (!mayHaveLostBytes(rest)) return [process.execPath, ...words, ...rest];
  const encoded = words.map((word) => new TextEncoder().encode(word));
  const bytes = readOwnArguments(realHost()).slice(-rest.length);
  return viaShell(process.execPath, [new Uint8Array(), ...encoded, ...bytes]);
}
