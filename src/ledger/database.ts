import { Database, SQLiteError } from "bun:sqlite";
import { accessSync, constants, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { describeErrno } from "../sys/errno.ts";
import { ForeignDatabase, isCurrent, migrate, NewerSchema, refuseOthers } from "./migrations.ts";

/** How long another ffrtmp's lock is waited for. */
const TIMEOUT_MS = 5000;
const RETRY_MS = 2;

/** Opens one ledger file, making it and its directory when they are not there. Throws what SQLite or the file system says. */
export function openFile(path: string): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const db = new Database(path, { create: true, readwrite: true, strict: true });
  try {
    // The timeout first of all: whatever comes next may meet another ffrtmp's lock. NORMAL: a commit survives the
    // death of every process; only power loss can take the last ones, and with them the jobs. A short log, because
    // most ffrtmps leave without a checkpoint and the next one has to read it.
    db.run(
      `PRAGMA busy_timeout = ${TIMEOUT_MS}; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 200`,
    );
    if (!isCurrent(db)) {
      // Before the mode, which is written into the file.
      refuseOthers(db);
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
 * Two processes that make the same new ledger meet here, and for this one lock SQLite does not wait: it cannot tell
 * that the other is not waiting too. So we do.
 */
function writeAhead(db: Database): void {
  const start = performance.now();
  for (;;) {
    try {
      db.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (!isSqlite(error, "SQLITE_BUSY") || performance.now() - start > TIMEOUT_MS) throw error;
      Bun.sleepSync(RETRY_MS);
    }
  }
}

/** A ledger that lives as long as this process, for when no file can be had. */
export function openMemory(): Database {
  const db = new Database(":memory:", { strict: true });
  migrate(db);
  return db;
}

/** The file is no database, or its pages contradict each other. */
export function isDamage(error: unknown): boolean {
  return isSqlite(error, "SQLITE_CORRUPT", "SQLITE_NOTADB");
}

/** The medium does not take our rows now: full, read-only, not ours, failing. */
export function isMediumTrouble(error: unknown): boolean {
  if (error instanceof NewerSchema || error instanceof ForeignDatabase) return true;
  if (
    isSqlite(
      error,
      "SQLITE_FULL",
      "SQLITE_READONLY",
      "SQLITE_IOERR",
      "SQLITE_CANTOPEN",
      "SQLITE_PERM",
      "SQLITE_BUSY",
    )
  )
    return true;
  return error instanceof Error && "syscall" in error;
}

/** Why a ledger cannot be used, and what an operator can do about it. */
export function describeTrouble(path: string, error: unknown): { reason: string; remedy: string } {
  const elsewhere = "name another directory with FFRTMP_STATE or --state-path";
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof NewerSchema)
    return { reason: message, remedy: `Use the newer ffrtmp that wrote it, or ${elsewhere}` };
  if (error instanceof ForeignDatabase) return { reason: message, remedy: `To leave it alone, ${elsewhere}` };
  if (isSqlite(error, "SQLITE_FULL")) return { reason: message, remedy: `Make room there, or ${elsewhere}` };
  if (isSqlite(error, "SQLITE_BUSY"))
    return { reason: `${message}: another process holds it`, remedy: `See which: fuser ${path}` };
  if (isSqlite(error, "SQLITE_IOERR"))
    return { reason: message, remedy: `See what the kernel says of that disk: dmesg` };
  const remedy = `Make it writable for uid ${process.geteuid?.()}, or ${elsewhere}`;
  if (isSqlite(error)) return { reason: whyNotWritable(path) ?? message, remedy };
  return { reason: describeErrno(error), remedy };
}

/** SQLite says of each of these only that it is "unable to open database file". */
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

export function isUniqueConflict(error: unknown): boolean {
  return isSqlite(error, "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY");
}

function isSqlite(error: unknown, ...codes: string[]): boolean {
  if (!(error instanceof SQLiteError)) return false;
  return codes.length === 0 || codes.some((code) => error.code?.startsWith(code) ?? false);
}

/**
 * Moves a damaged ledger and its side files out of the way and returns the new name.
 * `undefined` when another process did so first.
 */
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
