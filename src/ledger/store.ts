import type { Database } from "bun:sqlite";
import {
  describeTrouble,
  inodeOf,
  isDamage,
  isMediumTrouble,
  openFile,
  openMemory,
  setAside,
} from "./database.ts";

export type Value = string | number | null;
export type Row = Record<string, Value>;
type Statement = [sql: string, parameters: Row];

/** What the ledger notes about itself: nobody misses it. */
const IS_REMARK = /^INSERT INTO notes /;

/** Told about what an operator has to know: the ledger cannot be written, or was damaged. */
export type OnTrouble = (message: string) => void;

/** How soon changes that wait are tried again when no later one comes: a job may run for days. */
const FLUSH_INTERVAL_MS = 3000;

/**
 * A SQLite file that governing never has to wait for. While it cannot be written, changes wait in memory and are
 * tried again with each later one and from time to time; a damaged file is set aside under a dated name and a new one begun.
 */
export class LedgerStore {
  readonly path: string;
  readonly #onTrouble: OnTrouble;
  #db: Database;
  #inode: number | undefined;
  /** The file could not even be opened, for this reason: what is read comes from a copy that ends with this process. */
  #inMemoryBecause: string | undefined;
  #waiting: Statement[] = [];
  #saidLoss = false;
  #flushing: ReturnType<typeof setInterval> | undefined;

  constructor(path: string, onTrouble: OnTrouble) {
    this.path = path;
    this.#onTrouble = onTrouble;
    try {
      this.#db = this.#openFile();
    } catch (error) {
      if (!isMediumTrouble(error)) throw error;
      this.#sayLoss(error);
      this.#db = openMemory();
      this.#inMemoryBecause = describeTrouble(path, error).reason;
    }
  }

  /** Why nothing of what is on record can be seen; `undefined` when it can. */
  get unreadableBecause(): string | undefined {
    return this.#inMemoryBecause;
  }

  rows(sql: string, parameters: Row = {}): Row[] {
    return this.#guard((db) => db.query<Row, Row>(sql).all(parameters));
  }

  /** Runs one statement at once, without waiting in memory: for changes whose success decides what is done next. */
  countChanges(sql: string, parameters: Row): number {
    return this.#guard((db) => db.query<unknown, Row>(sql).run(parameters)).changes;
  }

  /** Throws constraint violations, having changed nothing. */
  write(sql: string, parameters: Row): void {
    if (this.#inMemoryBecause !== undefined) {
      this.countChanges(sql, parameters);
      this.#keep([sql, parameters]);
      return;
    }
    try {
      this.#writeWaiting();
      this.countChanges(sql, parameters);
      // All is written: trouble from now on is news again.
      this.#saidLoss = false;
    } catch (error) {
      if (!isMediumTrouble(error)) throw error;
      this.#sayLoss(error);
      this.#keep([sql, parameters]);
    }
  }

  /** Tries once more to write what waits. Returns how many changes still do. */
  flush(): number {
    if (this.#waiting.length === 0) return 0;
    try {
      if (this.#inMemoryBecause !== undefined) {
        const file = this.#openFile();
        this.#db.close();
        this.#db = file;
        this.#inMemoryBecause = undefined;
      }
      this.#writeWaiting();
      this.#saidLoss = false;
    } catch (error) {
      if (!isMediumTrouble(error)) throw error;
    }
    return this.#waiting.length;
  }

  /**
   * Tries to write what waits and says what is lost. The database itself is left to the end of the process: closing
   * it would write the log back to the file with two syncs of the disk, on the launch path of every short job.
   */
  close(): void {
    if (this.flush() === 0) return;
    const lost = this.#waiting.filter(([sql]) => !IS_REMARK.test(sql)).length;
    if (lost === 0) return;
    const text = lost === 1 ? "1 change is lost that" : `${lost} changes are lost that`;
    this.#onTrouble(`${text} could not be written to the ledger ${this.path}`);
  }

  #keep(statement: Statement): void {
    this.#waiting.push(statement);
    this.#flushing ??= setInterval(() => this.flush(), FLUSH_INTERVAL_MS);
    this.#flushing.unref();
  }

  #writeWaiting(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      try {
        this.countChanges(...next);
      } catch (error) {
        if (isMediumTrouble(error)) throw error;
        // Another ffrtmp closed the job meanwhile, or took its id: theirs is on record, ours is not.
        this.#onTrouble(`a change that had to wait no longer fits the ledger ${this.path}: ${error}`);
      }
      this.#waiting.shift();
    }
    clearInterval(this.#flushing);
    this.#flushing = undefined;
  }

  #guard<T>(action: (db: Database) => T): T {
    try {
      return action(this.#db);
    } catch (error) {
      if (!isDamage(error) || this.#inMemoryBecause !== undefined) throw error;
      this.#db.close();
      this.#replaceDamaged(error);
      this.#db = this.#openFile();
      return action(this.#db);
    }
  }

  #openFile(): Database {
    this.#inode = inodeOf(this.path);
    let db: Database;
    try {
      db = openFile(this.path);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#replaceDamaged(error);
      db = openFile(this.path);
    }
    this.#inode = inodeOf(this.path);
    return db;
  }

  #replaceDamaged(error: unknown): void {
    const aside = setAside(this.path, this.#inode, new Date());
    this.#inode = undefined;
    if (aside === undefined) return;
    this.#onTrouble(
      `the ledger ${this.path} is damaged (${error}): it was set aside as ${aside} and a new one is begun. ` +
        "Jobs that still run are taken up again from their cgroups; the history before is only in the old file",
    );
  }

  #sayLoss(error: unknown): void {
    if (this.#saidLoss) return;
    this.#saidLoss = true;
    const { reason, remedy } = describeTrouble(this.path, error);
    this.#onTrouble(
      `cannot write the ledger ${this.path} (${reason}): governing goes on, what happens is kept in memory only. ${remedy}`,
    );
  }
}
