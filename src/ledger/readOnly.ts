import { constants, Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { isMediumTrouble } from "./database.ts";
import { UnusableSchema } from "./migrations.ts";
import { rejectStrangers } from "./strangers.ts";

/** A checkpoint at the end of another process takes milliseconds. */
const MAX_READS = 5;

/** The file was written while it was read without locks, each time. */
class LedgerInMotion extends Error {}

/**
 * Reads a ledger in one transaction of a connection that cannot write. Creates no file, updates no schema, folds no inbox and
 * keeps nothing open, so that it works for a user with the right to read alone. Throws errors of SQLite and the file system,
 * UntrustedState, UnusableSchema and LedgerInMotion.
 */
export function readLedgerFile<T>(path: string, read: (db: Database) => T): T {
  rejectStrangers(path);
  for (let reads = 1; reads <= MAX_READS; reads++) {
    const before = stampOf(path);
    // Without its log, SQLite reads a ledger only where it may create one. The file is complete then, and it stays so
    // until an ffrtmp creates the log: https://sqlite.org/wal.html#readonly, https://sqlite.org/uri.html#uriimmutable
    const hasLog = before.log !== "";
    const value = readWith(hasLog ? openShared(path) : openImmutable(path), read);
    if (hasLog || isSame(before, stampOf(path))) return value;
  }
  throw new LedgerInMotion(`${path} was written each time that it was read`);
}

/** Returns a text that changes with each write to a ledger file; `""` where it is missing. */
export function stampOfLedger(path: string): string {
  const { file, log } = stampOf(path);
  return file && `${file} ${log}`;
}

function readWith<T>(db: Database, read: (db: Database) => T): T {
  try {
    if (db.query("SELECT 1 FROM sqlite_schema WHERE name = 'outbox'").get() === null)
      throw new UnusableSchema("it has no numbered results", "Let this ffrtmp update it: ffrtmp ps, or");
    return db.transaction(() => read(db))();
  } finally {
    db.close();
  }
}

function openShared(path: string): Database {
  try {
    return new Database(path, { readonly: true, strict: true });
  } catch (error) {
    // The log was removed meanwhile.
    if (isMediumTrouble(error) && stampOf(path).log === "") return openImmutable(path);
    throw error;
  }
}

function openImmutable(path: string): Database {
  const uri = `file:${encodeURI(path).replaceAll("?", "%3f").replaceAll("#", "%23")}?immutable=1`;
  return new Database(uri, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
}

interface Stamp {
  file: string;
  /** `""` where there is no log. */
  log: string;
}

function stampOf(path: string): Stamp {
  return { file: stampOfFile(path), log: stampOfFile(`${path}-wal`) };
}

function stampOfFile(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}

function isSame(a: Stamp, b: Stamp): boolean {
  return a.file === b.file && a.log === b.log;
}
