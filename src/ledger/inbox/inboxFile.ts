import { closeFd } from "../../sys/descriptor.ts";
import { errnoOf } from "../../sys/errno.ts";
import {
  type FileStatus,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  openFile,
  removeFile,
  renameFile,
  statusOfLink,
  statusOfOpen,
} from "../../sys/files.ts";
import { syscall } from "../../sys/libc.ts";
import type { InboxLine, RegisteredLine, ResultLine, RunningLine } from "./inboxLines.ts";

// The record of a plain launch before it is in the ledger: a file of its own in the directory `inbox` of the state
// directory. Any other ffrtmp may fold the file into the ledger at any time: fold.ts. This is the side of `run`, which
// neither opens SQLite nor loads the file system modules of the runtime.

/** The suffix of the file of a job that may still change: `JOBID.job`. */
export const OPEN_SUFFIX = ".job";
/** The suffix of the file of a job that has ended and is cleaned up: `KEY.done`. Its content is final. */
export const DONE_SUFFIX = ".done";

/** An inbox file that this process writes. */
export interface InboxFile {
  readonly directory: string;
  /** The name in `directory` while no other ffrtmp has folded the file. */
  readonly name: string;
  readonly key: string;
  /** Open for appending, close-on-exec. */
  readonly fd: number;
  readonly identity: FileIdentity;
}

type FileIdentity = Pick<FileStatus, "dev" | "ino">;

/**
 * The result of writing to an inbox file. `folded`: the file has lost its name, because another ffrtmp has moved the job
 * into the ledger; what was written may or may not be in it, and the caller repeats it there. `failed`: −errno, or 0 for a
 * write that was cut short; nothing may be appended any more.
 */
export type Appended = "written" | "folded" | { readonly failed: number };

const FILE_MODE = 0o640;

/**
 * Creates the file of a job and records the job in it, before anything is changed for it. Its name claims the id among all
 * plain launches. `taken`: another job has the id. A number is −errno, or 0 where the line did not fit: nothing is left.
 */
export function createInboxFile(
  directory: string,
  { job }: Omit<RegisteredLine, "version">,
): InboxFile | "taken" | number {
  const name = `${job.jobId}${OPEN_SUFFIX}`;
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW;
  const path = `${directory}/${name}`;
  // Before the file exists: a death between its creation and the write leaves it empty.
  const line = encodeLine({ version: 1, job });
  let fd: number;
  try {
    fd = openFile(path, flags, FILE_MODE);
  } catch (error) {
    return errnoOf(error) === "EEXIST" ? "taken" : (error as { errno: number }).errno;
  }
  const written = syscall("write", fd, line, line.byteLength);
  const file = {
    directory,
    name,
    key: job.key,
    fd,
    identity: identityOf(() => statusOfOpen(fd, path)) ?? NO_FILE,
  };
  if (written !== line.byteLength) {
    abandonInboxFile(file);
    return Math.min(written, 0);
  }
  // Another ffrtmp may have folded it already: the next line finds that.
  return file;
}

function encodeLine(line: InboxLine): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(line)}\n`);
}

/** Appends a line with one write, then checks the name. The order counts: a file that is folded later contains the line. */
function appendLine(file: InboxFile, line: InboxLine): Appended {
  const bytes = encodeLine(line);
  const written = syscall("write", file.fd, bytes, bytes.byteLength);
  if (written !== bytes.byteLength) return { failed: Math.min(written, 0) };
  return hasItsName(file) ? "written" : "folded";
}

export function appendRunning(file: InboxFile, running: RunningLine["running"]): Appended {
  return appendLine(file, { running });
}

/** Records the result. The job's cgroups are removed afterwards. */
export function appendResult(file: InboxFile, result: ResultLine["result"]): Appended {
  return appendLine(file, { result });
}

/** Returns whether no other ffrtmp has folded the file. */
export function hasItsName({ directory, name, identity }: InboxFile): boolean {
  const named = identityOf(() => statusOfLink(`${directory}/${name}`));
  return named !== undefined && named.ino === identity.ino && named.dev === identity.dev;
}

/**
 * Records that nothing of the ended job is left in the system. Returns false where the ledger must record that: the file is
 * folded, or could not be renamed.
 */
export function finishInboxFile(file: InboxFile): boolean {
  const { directory, name, key, fd } = file;
  const rename = (): void => renameFile(`${directory}/${name}`, `${directory}/${key}${DONE_SUFFIX}`);
  const isRenamed = hasItsName(file) && succeeds(rename);
  closeFd(fd);
  return isRenamed;
}

/** Removes the file of a job for which nothing was changed, or everything was undone. */
export function abandonInboxFile(file: InboxFile): void {
  if (hasItsName(file)) succeeds(() => removeFile(`${file.directory}/${file.name}`));
  closeFd(file.fd);
}

/** No file has this inode number. */
const NO_FILE: FileIdentity = { dev: 0, ino: 0 };

/**
 * Returns device and inode; `undefined` where there is no such file, or it cannot be read. No text: the first one of such a large
 * number makes the runtime create a cache of 24 pages.
 */
function identityOf(read: () => FileStatus | undefined): FileIdentity | undefined {
  try {
    const status = read();
    return status && { dev: status.dev, ino: status.ino };
  } catch {
    return undefined;
  }
}

function succeeds(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns whether the ffrtmp that has just finished this job folds the inbox and deletes old history with the full program,
 * which one plain launch in 256 does: otherwise nothing would on a machine with plain launches alone. Keys end in random
 * digits: RFC 9562, UUID version 7.
 */
export function isFoldDue(key: string): boolean {
  return key.endsWith("00");
}
