import { Database, SQLiteError } from "bun:sqlite";
import { accessSync, constants, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type FileWatch, watchPath } from "../linux/fileWatch.ts";
import { describeErrno } from "../sys/errno.ts";
import { isCurrent, migrate, rejectOtherSchemas, returnPagesInSteps, UnusableSchema } from "./migrations.ts";

/** The longest wait for the lock of another ffrtmp. */
const TIMEOUT_MS = 5000;
const RETRY_MS = 2;

/** Opens a ledger file, and creates it and its directory where they are missing. Throws errors of SQLite or the file system. */
export function openFile(path: string): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const db = new Database(path, { create: true, readwrite: true, strict: true });
  try {
    // The timeout is first: each later statement may meet the lock of another ffrtmp. NORMAL: a commit survives the
    // death of every process; only power loss can undo the last ones, and it ends the jobs too. A short log, because
    // most ffrtmps end without a checkpoint and the next one has to read the log.
    db.run(`PRAGMA busy_timeout = ${TIMEOUT_MS}`);
    db.run("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 200");
    if (!isCurrent(db)) {
      // Before the mode, which is written into the file.
      rejectOtherSchemas(db);
      returnPagesInSteps(db);
      writeAhead(db);
      migrate(db);
    }
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
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
      if (!isSqlite(error, "BUSY") || performance.now() - start > TIMEOUT_MS) throw error;
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
  return isSqlite(error, "CORRUPT", "NOTADB");
}

/**
 * Returns true when the file cannot be written now, and may be later: the disk is full, read-only or failing;
 * or the file is locked, or belongs to another user or program.
 */
export function isMediumTrouble(error: unknown): boolean {
  if (error instanceof UnusableSchema || (error instanceof Error && "syscall" in error)) return true;
  return isSqlite(error, "FULL", "READONLY", "IOERR", "CANTOPEN", "PERM", "BUSY");
}

/** Describes why a ledger cannot be used, and what an operator can do about it. */
export function describeTrouble(path: string, error: unknown): { reason: string; remedy: string } {
  const elsewhere = "name another directory with FFRTMP_STATE or --state-path";
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof UnusableSchema) return { reason, remedy: `${error.remedy} ${elsewhere}` };
  if (isSqlite(error, "FULL")) return { reason, remedy: `Make room there, or ${elsewhere}` };
  if (isSqlite(error, "BUSY"))
    return { reason: `${reason}: another process uses it`, remedy: `See which: fuser ${path}` };
  if (isSqlite(error, "IOERR")) return { reason, remedy: "See the kernel's messages about that disk: dmesg" };
  const remedy = `Make it writable for uid ${process.geteuid?.()}, or ${elsewhere}`;
  if (error instanceof SQLiteError) return { reason: whyNotWritable(path) ?? reason, remedy };
  return { reason: describeErrno(error), remedy };
}

/** SQLite reports each of these only as "unable to open database file". */
function whyNotWritable(path: string): string | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return "it is a directory";
  for (const needed of [dirname(path), path]) {
    try {
      accessSync(needed, constants.W_OK);
    } catch (error) {
      if (existsSync(needed)) return `${describeErrno(error)} writing to ${needed}`;
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
 * Calls back soon after any process, this one included, has written to a ledger file. Returns `undefined` if
 * the ledger must be polled: no inotify instance is left, or the directory cannot be read.
 */
export function watchLedgerFile(path: string, onWrite: () => void): FileWatch | undefined {
  // Watches the directory: writes go to the log beside the file, and a damaged file is replaced by a new one.
  return watchPath(dirname(path), onWrite, (name) => name.startsWith(basename(path)));
}

/** Renames a damaged ledger and its side files. Returns the new name; `undefined` when another process did so first. */
export function setAside(path: string, inode: number | undefined, now: Date): string | undefined {
  if (inode === undefined || inodeOf(path) !== inode) return undefined;
  const aside = `${path}.damaged-${now.toISOString().replace(/[:.]/g, "-")}`;
  renameSync(path, aside);
  for (const suffix of ["-wal", "-shm"]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}

export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
