import { Database, SQLiteError } from "bun:sqlite";
import { accessSync, constants, existsSync, renameSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type FileWatch, watchPath } from "../linux/fileWatch.ts";
import { describeErrno, errnoOf } from "../sys/errno.ts";
import { NotRegular } from "../sys/regularFile.ts";
import { INBOX } from "./location.ts";
import { isCurrent, migrate, rejectOtherSchemas, returnPagesInSteps, UnusableSchema } from "./migrations.ts";
import { closeToOthers, LostContent, prepareLedger } from "./stateFiles.ts";
import { UntrustedState } from "./strangers.ts";

export type Value = string | number | null;
export type Row = Record<string, Value>;
export type Statement = [sql: string, parameters: Row];

/**
 * The longest wait for the lock of another process. The transactions of ffrtmp take less than a millisecond; a longer one is
 * not waited for, and the change waits in memory instead.
 */
const LOCK_TIMEOUT_MS = 200;
/** The same while the schema is created or updated. */
const MIGRATION_TIMEOUT_MS = 1000;
const RETRY_MS = 2;
/** The delay before a change of the inbox is reported. A plain launch makes four, most often within milliseconds. */
const INBOX_DELAY_MS = 50;

/**
 * Opens a ledger file, and creates it and its directory where they are missing. Throws errors of SQLite or the file system,
 * and those of `prepareLedger`.
 */
export function openFile(
  path: string,
  report: (text: string) => void = () => {},
  lockTimeoutMs = LOCK_TIMEOUT_MS,
): Database {
  const isOpenToOthers = prepareLedger(path, newLedger);
  const db = new Database(path, { create: true, readwrite: true, strict: true });
  try {
    // The timeout is first: each later statement may meet the lock of another ffrtmp. NORMAL: a commit survives the
    // death of every process; only power loss can undo the last ones, and it ends the jobs too. A short log, because
    // most ffrtmps end without a checkpoint and the next one has to read the log.
    waitForLocks(db, lockTimeoutMs);
    db.run("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 200");
    if (!isCurrent(db)) {
      // Before the mode, which is written into the file.
      rejectOtherSchemas(db);
      returnPagesInSteps(db);
      waitForLocks(db, MIGRATION_TIMEOUT_MS);
      writeAhead(db);
      migrate(db);
      waitForLocks(db, lockTimeoutMs);
    }
    if (isOpenToOthers) closeToOthers(dirname(path), report);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Executes an action in one transaction, which is on the disk when this returns: also power loss does not undo it. Waits for the
 * lock of other processes for up to `lockTimeoutMs`. Not in another transaction.
 */
export function writeDurably<T>(db: Database, action: () => T, lockTimeoutMs: number): T {
  waitForLocks(db, lockTimeoutMs);
  db.run("PRAGMA synchronous = FULL");
  try {
    return db.transaction(action).immediate();
  } finally {
    db.run("PRAGMA synchronous = NORMAL");
    waitForLocks(db);
  }
}

/** Sets how long a statement waits for the lock of another process. */
export function waitForLocks(db: Database, timeoutMs = LOCK_TIMEOUT_MS): void {
  db.run(`PRAGMA busy_timeout = ${timeoutMs}`);
}

/** Returns true where there is no ledger, nor the log of one that was lost. Creates nothing. */
export function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return errnoOf(error) === "ENOENT" && !statSync(`${path}-wal`, { throwIfNoEntry: false })?.size;
  }
}

/** Returns the content of a new ledger file. */
function newLedger(): Uint8Array {
  const db = openMemory();
  const content = db.serialize();
  db.close();
  // The mode is WAL from the first open on. Source: "File format version numbers" of fileformat2.html.
  content[18] = content[19] = 2;
  return content;
}

/**
 * Two processes that create the same ledger meet at this lock. It is the one lock that SQLite does not wait for: SQLite
 * cannot know that the other process does not wait too.
 */
function writeAhead(db: Database): void {
  const start = performance.now();
  for (;;) {
    try {
      db.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (!isSqlite(error, "BUSY") || performance.now() - start > MIGRATION_TIMEOUT_MS) throw error;
      Bun.sleepSync(RETRY_MS);
    }
  }
}

/** Opens a ledger that ends with this process, for a path where no file can be opened. */
export function openMemory(): Database {
  const db = new Database(":memory:", { strict: true });
  migrate(db);
  return db;
}

/** Returns true when the file is no database, or its pages contradict each other. */
export function isDamage(error: unknown): boolean {
  return error instanceof LostContent || isSqlite(error, "CORRUPT", "NOTADB");
}

/**
 * Returns true when the file cannot be written now, and may be later: the disk is full, read-only or failing;
 * or the file is locked, or belongs to another user or program.
 */
export function isMediumTrouble(error: unknown): boolean {
  if ([UnusableSchema, UntrustedState, NotRegular].some((kind) => error instanceof kind)) return true;
  if (error instanceof Error && "syscall" in error) return true;
  return isLocked(error) || isSqlite(error, "FULL", "READONLY", "IOERR", "CANTOPEN", "PERM");
}

/** Returns true when the lock of another process was in the way. */
function isLocked(error: unknown): boolean {
  return isStuck(error) || isSqlite(error, "BUSY");
}

/** Returns true when SQLite gave up its own wait of 10 s for a place in the index of the log, `ledger.db-shm`. */
export function isStuck(error: unknown): boolean {
  return isSqlite(error, "PROTOCOL");
}

/** Describes why a ledger cannot be used, and what an operator can do about it. */
export function describeTrouble(path: string, error: unknown): { reason: string; remedy: string } {
  const elsewhere = "name another directory with FFRTMP_STATE or --state-path";
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof UnusableSchema) return { reason, remedy: `${error.remedy} ${elsewhere}` };
  if (error instanceof NotRegular) return { reason, remedy: `Remove it, or ${elsewhere}` };
  if (error instanceof UntrustedState)
    return {
      reason,
      remedy: `Run ffrtmp as the user whose state it is, make it root's alone, or ${elsewhere}`,
    };
  if (isSqlite(error, "FULL")) return { reason, remedy: `Make room there, or ${elsewhere}` };
  if (isLocked(error))
    return { reason: `${reason}: another process uses it`, remedy: `See which: fuser ${path}` };
  if (isSqlite(error, "IOERR")) return { reason, remedy: "See the kernel's messages about that disk: dmesg" };
  const remedy = `Make it writable for uid ${process.geteuid?.()}, or ${elsewhere}`;
  const errno = error instanceof SQLiteError ? reason : describeErrno(error);
  const fault = findRefused([dirname(path), path], constants.W_OK);
  return { reason: fault ? `${fault.reason} writing to ${fault.path}` : errno, remedy };
}

/** Describes why a ledger cannot be read. No command that reads asks for the right to write. */
export function describeReadTrouble(path: string, error: unknown): { reason: string; remedy: string } {
  const { reason, remedy } = describeTrouble(path, error);
  if (!isSqlite(error, "CANTOPEN", "READONLY", "PERM") && !(error instanceof Error && "syscall" in error))
    return { reason, remedy };
  const errno = error instanceof SQLiteError ? error.message : describeErrno(error);
  const fault = findRefused([dirname(path), path, `${path}-wal`, `${path}-shm`], constants.R_OK);
  return {
    reason: fault ? `${fault.reason} reading ${fault.path}` : errno,
    remedy:
      "read it as the user whose state it is, or name another directory with FFRTMP_STATE or --state-path",
  };
}

/** SQLite reports each of these only as "unable to open database file", and the file system without the path. */
function findRefused(paths: string[], mode: number): { path: string; reason: string } | undefined {
  for (const path of paths) {
    try {
      accessSync(path, mode);
    } catch (error) {
      if (existsSync(path)) return { path, reason: describeErrno(error) };
    }
  }
  return undefined;
}

/** Returns true when another process has locked the file. */
export function isBusy(error: unknown): boolean {
  return isSqlite(error, "BUSY");
}

export function isUniqueConflict(error: unknown): boolean {
  return isSqlite(error, "CONSTRAINT_UNIQUE", "CONSTRAINT_PRIMARYKEY");
}

/** Returns true for an error with one of these codes, as SQLITE_BUSY or SQLITE_BUSY_SNAPSHOT has `BUSY`. */
function isSqlite(error: unknown, ...codes: string[]): boolean {
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(`SQLITE_${code}`));
}

/**
 * Calls back soon after any process, this one included, has written to a ledger file or to its inbox. Returns `undefined` if
 * the ledger must be polled: no inotify instance is left, or the directory cannot be read.
 */
export function watchLedgerFile(path: string, onWrite: () => void): FileWatch | undefined {
  const directory = dirname(path);
  const inbox = join(directory, INBOX);
  let delay: ReturnType<typeof setTimeout> | undefined;
  const onInboxWrite = () => {
    delay ??= setTimeout(() => {
      delay = undefined;
      onWrite();
    }, INBOX_DELAY_MS);
    delay.unref();
  };
  let inboxWatch = watchPath(inbox, onInboxWrite);
  // Watches the directory: writes go to the log beside the file, and a damaged file is replaced by a new one.
  const watch = watchPath(
    directory,
    () => {
      inboxWatch ??= watchPath(inbox, onInboxWrite);
      onWrite();
    },
    (name) => name.startsWith(basename(path)) || name === INBOX,
  );
  if (watch === undefined) inboxWatch?.close();
  return (
    watch && {
      close() {
        clearTimeout(delay);
        watch.close();
        inboxWatch?.close();
      },
    }
  );
}

/** Renames a damaged ledger and its side files. Returns the new name; `undefined` when another process did so first. */
export function setAside(path: string, inode: number | undefined, now: Date): string | undefined {
  if (inodeOf(path) !== inode) return undefined;
  const aside = `${path}.damaged-${now.toISOString().replace(/[:.]/g, "-")}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}

export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
