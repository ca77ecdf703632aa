import type { Database } from "bun:sqlite";
import * as database from "./database.ts";

/**
 * The SQLite file of a ledger. It stays closed while it cannot be opened. A damaged file is renamed with a date, and a new one
 * is created in its place.
 */
export class LedgerFile {
  readonly #path: string;
  readonly #onTrouble: (message: string) => void;
  /** `undefined` while the file is not open. */
  #db: Database | undefined;
  #inode: number | undefined;

  constructor(path: string, onTrouble: (message: string) => void) {
    this.#path = path;
    this.#onTrouble = onTrouble;
  }

  /** The open file; `undefined` while it is not. */
  get db(): Database | undefined {
    return this.#db;
  }

  /** Opens the file, unless it is open. Throws what keeps it from being opened. `lockTimeoutMs`: the longest wait for a lock. */
  open(lockTimeoutMs?: number): void {
    this.#db ??= this.#open(lockTimeoutMs);
  }

  /** Uses the open file. Where it turns out to be damaged, the action is repeated with the new one. */
  use<T>(action: (db: Database) => T): T {
    const db = this.#db;
    // It was open when the caller asked, or it would not be here.
    if (db === undefined) throw new Error(`the ledger ${this.#path} is not open`);
    try {
      return action(db);
    } catch (error) {
      if (!database.isDamage(error)) throw error;
      db.close();
      this.#replaceDamaged(error);
      this.#db = this.#open();
      return action(this.#db);
    }
  }

  /** Sets how long later statements wait for the locks of other processes. */
  waitForLocks(ms?: number): void {
    if (this.#db !== undefined) database.waitForLocks(this.#db, ms);
  }

  #open(lockTimeoutMs?: number): Database {
    this.#inode = database.inodeOf(this.#path);
    try {
      return database.openFile(this.#path, this.#onTrouble, lockTimeoutMs);
    } catch (error) {
      if (!database.isDamage(error)) throw error;
      this.#replaceDamaged(error);
      return database.openFile(this.#path, this.#onTrouble, lockTimeoutMs);
    } finally {
      this.#inode = database.inodeOf(this.#path);
    }
  }

  #replaceDamaged(error: unknown): void {
    const aside = database.setAside(this.#path, this.#inode, new Date());
    this.#inode = undefined;
    if (aside === undefined) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#onTrouble(
      `the ledger ${this.#path} is damaged (${reason}): it was set aside as ${aside} and a new one is created. ` +
        "Jobs that still run are recovered from their cgroups; earlier history is only in the old file",
    );
  }
}
