import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { StateFiles } from "../ledger/location.ts";
import { createStateDirectory } from "../ledger/stateFiles.ts";
import { errnoOf } from "../sys/errno.ts";
import { freeStartOfFile } from "../sys/punchHole.ts";
import { openRegular } from "../sys/regularFile.ts";
import type { Job } from "./model/job.ts";

/**
 * The file into which ffmpeg writes its progress under `run --progress`. A regular file, which never makes ffmpeg wait:
 * when nothing reads a pipe or socket, ffmpeg stops in its next write.
 */

/** In memory, and emptied by a restart of the machine. Only root may write there. */
const RUNTIME_DIRECTORY = "/run/ffrtmp";
const { O_CREAT, O_EXCL, O_RDWR, O_WRONLY } = constants;

/** A file larger than this is trimmed: half an hour of reports. */
const TRIM_ABOVE_BYTES = 1024 * 1024;
/** The length that is left then. A multiple of all block sizes. */
const KEPT_BYTES = 64 * 1024;

/** Returns why ffmpeg cannot be asked for its progress: the command is another one, or names a file itself. */
export function whyWithoutProgress([command = "", ...words]: readonly string[]):
  | "not ffmpeg"
  | "its own"
  | undefined {
  if (basename(command) !== "ffmpeg") return "not ffmpeg";
  return words.includes("-progress") ? "its own" : undefined;
}

/**
 * Creates the progress file of a job that is about to start, owned by the user of this process, which is the workload's.
 * Returns its path. Throws errors of the file system.
 */
export function createProgressFile(state: StateFiles, jobId: string): string {
  const name = `${state.tag}-${jobId}-${Math.floor(2 ** 32 * Math.random())
    .toString(16)
    .padStart(8, "0")}.progress`;
  if (process.geteuid?.() === 0) {
    try {
      return createIn(RUNTIME_DIRECTORY, name, () => mkdirSync(RUNTIME_DIRECTORY, { mode: 0o755 }));
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      // Read-only, full, or not root's: the state directory is as good, but for its disk.
    }
  }
  const directory = stateDirectoryOf(state);
  return createIn(directory, name, () => {
    createStateDirectory(state.directory);
    mkdirSync(directory, { mode: 0o700 });
  });
}

function createIn(directory: string, name: string, create: () => void): string {
  try {
    return createBelow(directory, name);
  } catch (error) {
    // There is none yet.
    if (errnoOf(error) !== "ENOENT") throw error;
    try {
      create();
    } catch (raced) {
      if (errnoOf(raced) !== "EEXIST") throw raced;
    }
    return createBelow(directory, name);
  }
}

function createBelow(directory: string, name: string): string {
  const { uid, mode } = lstatSync(directory);
  if (uid !== process.geteuid?.() || (mode & 0o022) !== 0)
    throw Object.assign(new Error(`${directory} can be changed by others`), { code: "EPERM" });
  const path = join(directory, name);
  closeSync(openSync(path, O_WRONLY | O_CREAT | O_EXCL, 0o600));
  return path;
}

/** Inserts the option after the name of the command, where it is a global option whatever follows. */
export function withProgress<Word>([command, ...words]: readonly Word[], option: Word, path: Word): Word[] {
  return command === undefined ? [] : [command, option, path, ...words];
}

/**
 * Returns the path of the progress file that ffrtmp made for a job. A job that names a file of another one is not
 * believed: only `run` makes such files, and their names have the job's id.
 */
export function progressFileOf(
  state: StateFiles,
  job: Pick<Job, "mode" | "jobId" | "command">,
): string | undefined {
  const [, option, path = ""] = job.command;
  if (job.mode !== "run" || option !== "-progress") return undefined;
  if (dirname(path) !== RUNTIME_DIRECTORY && dirname(path) !== stateDirectoryOf(state)) return undefined;
  const name = basename(path);
  const prefix = `${state.tag}-${job.jobId}-`;
  return name.startsWith(prefix) && /^[0-9a-f]{8}\.progress$/.test(name.slice(prefix.length))
    ? path
    : undefined;
}

/** Removes the progress file of a job that has ended or is detached, if it has one. */
export function removeProgressFile(state: StateFiles, job: Pick<Job, "mode" | "jobId" | "command">): void {
  const path = progressFileOf(state, job);
  if (path === undefined) return;
  try {
    rmSync(path, { force: true });
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

/** Frees the old blocks of the progress file of a job, once it is larger than 1 MiB. ffmpeg keeps its place in it. */
export function trimProgressFile(state: StateFiles, job: Pick<Job, "mode" | "jobId" | "command">): void {
  const path = progressFileOf(state, job);
  if (path === undefined) return;
  try {
    const fd = openRegular(path, O_RDWR);
    try {
      const { size, blocks } = fstatSync(fd);
      if (blocks * 512 <= TRIM_ABOVE_BYTES) return;
      freeStartOfFile(fd, Math.floor((size - KEPT_BYTES) / KEPT_BYTES) * KEPT_BYTES);
    } finally {
      closeSync(fd);
    }
  } catch {
    // It is gone, or its file system cannot: then it grows, by 2 MiB an hour.
  }
}

function stateDirectoryOf({ directory }: StateFiles): string {
  return join(directory, "progress");
}
