import type { Database } from "bun:sqlite";
import * as database from "./database.ts";

export type Value = string | number | null;
export type Row = Record<string, Value>;
type Statement = [sql: string, parameters: Row];

/** The interval of retries while no later change causes one: a job may run for days. */
const FLUSH_INTERVAL_MS = 3000;

/**
 * A SQLite file that governing never waits for. While it cannot be written, changes wait in memory and are tried again
 * with each later change and every FLUSH_INTERVAL_MS. A damaged file is renamed with a date, and a new one is created.
 */
export abstract class LedgerStore {
  readonly path: string;
  /** Reports to the operator that the ledger cannot be written, or was damaged. */
  protected readonly onTrouble: (message: string) => void;
  #db: Database;
  #inode: number | undefined;
  /** Why the file could not be opened. Then all reads and writes are of a copy that ends with this process. */
  unreadableBecause: string | undefined;
  #waiting: Statement[] = [];
  #isReported = false;
  #flushing: ReturnType<typeof setInterval> | undefined;

  constructor(path: string, onTrouble: (message: string) => void) {
    this.path = path;
    this.onTrouble = onTrouble;
    try {
      this.#db = this.#openFile();
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
      this.#reportOnce(error);
      this.#db = database.openMemory();
      this.unreadableBecause = database.describeTrouble(path, error).reason;
    }
  }

  protected rows(sql: string, parameters: Row = {}): Row[] {
    return this.#guard((db) => db.query<Row, Row>(sql).all(parameters));
  }

  /** Executes one statement now or throws, and returns the number of changed rows. */
  protected countChanges(sql: string, parameters: Row): number {
    return this.#guard((db) => db.query<unknown, Row>(sql).run(parameters)).changes;
  }

  /** Throws constraint violations, having changed nothing. */
  protected write(sql: string, parameters: Row): void {
    if (this.unreadableBecause !== undefined) {
      this.countChanges(sql, parameters);
      this.#keep([sql, parameters]);
      return;
    }
    try {
      this.#writeWaiting();
      this.countChanges(sql, parameters);
      this.#isReported = false;
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
      this.#reportOnce(error);
      this.#keep([sql, parameters]);
    }
  }

  /** Tries again to write the changes that wait. Returns how many still wait. */
  flush(): number {
    if (this.#waiting.length === 0) return 0;
    try {
      if (this.unreadableBecause !== undefined) {
        const file = this.#openFile();
        this.#db.close();
        this.#db = file;
        this.unreadableBecause = undefined;
      }
      this.#writeWaiting();
      this.#isReported = false;
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
    }
    return this.#waiting.length;
  }

  /**
   * Tries to write the changes that wait, reports and returns how many are lost. Leaves the database open until the process ends:
   * closing it would write the log back to the file with two syncs of the disk, on the launch path of every short job.
   */
  close(): number {
    clearInterval(this.#flushing);
    if (this.flush() === 0) return 0;
    // A note of the ledger about itself is no loss.
    const lost = this.#waiting.filter(([sql]) => !sql.startsWith("INSERT INTO notes ")).length;
    const text = lost === 1 ? "1 change is lost that" : `${lost} changes are lost that`;
    if (lost > 0) this.onTrouble(`${text} could not be written to the ledger ${this.path}`);
    return lost;
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
        if (database.isMediumTrouble(error)) throw error;
        // Another ffrtmp ended the job meanwhile, or used its id: its record is kept.
        this.onTrouble(`a change that had to wait no longer fits the ledger ${this.path}: ${error}`);
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
      if (!database.isDamage(error) || this.unreadableBecause !== undefined) throw error;
      this.#db.close();
      this.#replaceDamaged(error);
      this.#db = this.#openFile();
      return action(this.#db);
    }
  }

  #openFile(): Database {
    this.#inode = database.inodeOf(this.path);
    try {
      return database.openFile(this.path, this.onTrouble);
    } catch (error) {
      if (!database.isDamage(error)) throw error;
      this.#replaceDamaged(error);
      return database.openFile(this.path, this.onTrouble);
    } finally {
      this.#inode = database.inodeOf(this.path);
    }
  }

  #replaceDamaged(error: unknown): void {
    const aside = database.setAside(this.path, this.#inode, new Date());
    this.#inode = undefined;
    if (aside === undefined) return;
    this.onTrouble(
      `the ledger ${this.path} is damaged (${error instanceof Error ? error.message : error}): it was set aside as ${aside} and a new one is created. ` +
        "Jobs that still run are recovered from their cgroups; earlier history is only in the old file",
    );
  }

  #reportOnce(error: unknown): void {
    if (this.#isReported) return;
    this.#isReported = true;
    const { reason, remedy } = database.describeTrouble(this.path, error);
    const consequence = "governing continues, what happens is kept in memory only";
    this.onTrouble(`cannot write the ledger ${this.path} (${reason}): ${consequence}. ${remedy}`);
  }
}
