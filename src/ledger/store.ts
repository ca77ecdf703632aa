import type { Database } from "bun:sqlite";
import { dirname, join } from "node:path";
import * as database from "./database.ts";
import { InboxView } from "./inbox/inboxView.ts";
import { LedgerFile } from "./ledgerFile.ts";
import { INBOX } from "./location.ts";
import { Overlay } from "./overlay.ts";
import { createInbox } from "./stateFiles.ts";

type Row = database.Row;
type Statement = database.Statement;

/** The interval of retries while no later change causes one: a job may run for days. */
const FLUSH_INTERVAL_MS = 3000;
/** The pause between two parts of a long queue, for events of processes that appear meanwhile. */
const NEXT_PART_MS = 10;
/** The changes that are written in one transaction: some milliseconds. */
const PART = 500;
/** The pause after a lock that SQLite waits for whatever its timeout is, 10 s: only the owner of the ledger can set it. */
const STUCK_PAUSE_MS = 300_000;
/** The files of ended jobs that are folded at the start: 0.1 ms for each. The others are read beside the ledger. */
const MAX_FOLDED_AT_START = 500;
/** The longest wait for a lock at the end of this process, when the changes would be lost. */
const LAST_WAIT_MS = 2000;
/** The longest wait for a lock for a change that is made now or not at all. */
const NOW_OR_NEVER_WAIT_MS = 5000;

/** A change that must not wait was not made. The message is the reason, of the file or the file system. */
export class NotWritten extends Error {
  /** The operator's next step. */
  readonly remedy: string;

  constructor(reason: string, remedy: string) {
    super(reason);
    this.remedy = remedy;
  }
}

/**
 * The use of a ledger. `create`: for governing, with a new file where there is none. `change`: of what is recorded; a
 * missing file stays missing. `read`: the same, and repairs that cannot be written are for the next ffrtmp that can.
 */
export type LedgerAccess = "create" | "change" | "read";

/**
 * A SQLite file that governing never waits for. While it cannot be written, changes wait in memory and are tried again
 * with each later change and every FLUSH_INTERVAL_MS. A damaged file is renamed with a date, and a new one is created.
 */
export abstract class LedgerStore {
  readonly path: string;
  /** Reports to the operator that the ledger cannot be written, or was damaged. */
  protected readonly onTrouble: (message: string) => void;
  readonly #file: LedgerFile;
  /** The changes that wait, from the first one that could not be written until the last one is. */
  #overlay: Overlay | undefined;
  #fault: { reason: string; remedy: string } | undefined;
  #isReported = false;
  #notBeforeMs = 0;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  readonly #isReader: boolean;
  /** Jobs of plain launches that are not in the file. */
  readonly #inbox: InboxView;
  /** True where there is no file, and none is created. */
  readonly isMissing: boolean;

  constructor(path: string, onTrouble: (message: string) => void, access: LedgerAccess = "create") {
    this.path = path;
    this.onTrouble = onTrouble;
    this.#isReader = access === "read";
    this.#file = new LedgerFile(path, (text) => onTrouble(text));
    this.#inbox = new InboxView(join(dirname(path), INBOX), (text) => onTrouble(text));
    this.isMissing = access !== "create" && database.isMissing(path);
    if (this.isMissing) {
      this.#overlay = new Overlay();
      return;
    }
    try {
      this.#file.open();
      if (access === "create") createInbox(dirname(path));
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
      // A command that needs the records fails with the reason.
      if (access === "create") this.#reportOnce(error);
      this.#overlay = new Overlay();
      this.#fault = this.#describe(error);
    }
    this.foldInbox(MAX_FOLDED_AT_START);
  }

  /** Why the file could not be opened. Then only what this process has recorded can be read. */
  get unreadableBecause(): string | undefined {
    return this.#fault?.reason;
  }

  /** The operator's next step while the file cannot be opened. */
  get remedy(): string | undefined {
    return this.#fault?.remedy;
  }

  protected rows(sql: string, parameters: Row = {}): Row[] {
    const recorded = (): Row[] => this.#withInbox(sql, parameters);
    if (this.#overlay === undefined) return recorded();
    this.#refreshInbox();
    const isReadable = this.#file.db !== undefined || this.#inbox.database !== undefined;
    return this.#overlay.rows(sql, parameters, isReadable ? recorded : undefined);
  }

  /** Reads only the inbox: the jobs that are not in the file. */
  protected inboxRows(sql: string, parameters: Row = {}): Row[] {
    this.#refreshInbox();
    return this.#inbox.rows(sql, parameters);
  }

  /** Reads the file and the changes that wait for it. */
  protected ledgerRows(sql: string, parameters: Row = {}): Row[] {
    const recorded = (): Row[] => this.#file.use((db) => db.query<Row, Row>(sql).all(parameters));
    if (this.#overlay === undefined) return recorded();
    return this.#overlay.rows(sql, parameters, this.#file.db && recorded);
  }

  /** Returns whether a file of the inbox claims a job id. */
  protected isClaimedInInbox(jobId: string): boolean {
    return this.#inbox.claims(jobId);
  }

  /** Returns a number that changes whenever the inbox may have changed. */
  protected inboxVersion(): number {
    return this.#inbox.version();
  }

  /** Moves jobs that have ended from the inbox to the file, where this user may. Waits for no other process. */
  foldInbox(max = Number.POSITIVE_INFINITY): void {
    this.#tryOnInbox((file) => {
      if (file === undefined || !this.#inbox.hasFinal()) return;
      database.waitForLocks(file, 0);
      try {
        this.#inbox.foldFinal(file, max);
      } finally {
        if (this.#overlay === undefined) database.waitForLocks(file);
      }
    });
  }

  #refreshInbox(): void {
    this.#tryOnInbox((file) => this.#inbox.refresh(file));
  }

  /** A file that cannot be folded now stays in the inbox, where it is read. */
  #tryOnInbox(action: (file: Database | undefined) => void): void {
    try {
      if (this.#file.db === undefined) action(undefined);
      else this.#file.use(action);
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
    }
  }

  #withInbox(sql: string, parameters: Row): Row[] {
    const fromFile = (): Row[] =>
      this.#file.db === undefined ? [] : this.#file.use((db) => db.query<Row, Row>(sql).all(parameters));
    // No plain launch writes notes.
    if ("name" in parameters) return fromFile();
    return this.#inbox.rowsBeside(sql, parameters, { refresh: () => this.#refreshInbox(), fromFile });
  }

  /** Reads what only the file has: pragmas. */
  protected fileRows(sql: string): Row[] {
    return this.#file.db === undefined ? [] : this.#file.use((db) => db.query<Row, Row>(sql).all({}));
  }

  /** Reads one value of bytes, which only the file has. */
  protected fileBytes(sql: string, parameters: Row): Uint8Array | undefined {
    if (this.#file.db === undefined) return undefined;
    const [value] = this.#file.use((db) => db.query<unknown, Row>(sql).values(parameters)[0] ?? []);
    return value instanceof Uint8Array ? value : undefined;
  }

  /**
   * Executes one statement now or not at all, for what is worth no memory while the file cannot be written. Returns the
   * number of changed rows; `undefined` while the file cannot be written.
   */
  protected writeToFile(
    sql: string,
    parameters: Record<string, database.Value | Uint8Array>,
  ): number | undefined {
    if (this.flush() > 0 || this.#file.db === undefined) return undefined;
    try {
      return this.#file.use((db) => db.query<unknown, typeof parameters>(sql).run(parameters)).changes;
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
      return undefined;
    }
  }

  /**
   * Executes an action in one transaction that is on the disk when this returns. Throws NotWritten where it cannot be, having
   * changed nothing: no part of it waits in memory. Throws what the action throws, having changed nothing.
   */
  protected writeNowOrNever(action: (db: Database) => void): void {
    try {
      this.#file.open(NOW_OR_NEVER_WAIT_MS);
      // Write the waiting changes first, where they can be written.
      this.flush();
      this.#file.use((db) => database.writeDurably(db, () => action(db), NOW_OR_NEVER_WAIT_MS));
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
      const { reason, remedy } = this.#describe(error);
      throw new NotWritten(reason, remedy);
    }
  }

  /** Executes one statement, and returns the number of changed rows. */
  protected countChanges(sql: string, parameters: Row): number {
    return this.#execute([sql, parameters]);
  }

  /** Throws constraint violations, having changed nothing. */
  protected write(sql: string, parameters: Row): void {
    this.#execute([sql, parameters]);
  }

  /** Tries again to write the changes that wait. Returns how many still wait. */
  flush(): number {
    if (this.#overlay === undefined) return 0;
    if (this.isMissing) return this.#overlay.waiting.length;
    if (performance.now() < this.#notBeforeMs) return this.#overlay.waiting.length;
    try {
      if (this.#file.db === undefined) {
        this.#file.open(0);
        this.#fault = undefined;
      }
      this.#writePart(this.#overlay);
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
      this.#pauseIfStuck(error);
    }
    return this.#overlay?.waiting.length ?? 0;
  }

  /**
   * Writes the changes that wait, reports and returns how many are lost. Leaves the database open until the process ends:
   * closing it would write the log back to the file with two syncs of the disk, on the launch path of every short job.
   */
  close(): number {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    if (this.#overlay === undefined || this.isMissing) return 0;
    this.#file.waitForLocks(LAST_WAIT_MS);
    let before = this.#overlay.waiting.length;
    for (let left = this.flush(); left > 0 && left < before; left = this.flush()) before = left;
    if (this.#overlay === undefined) return 0;
    this.#file.waitForLocks(0);
    return this.#reportLoss(this.#overlay);
  }

  #execute(statement: Statement): number {
    const isClosed = this.#file.db === undefined;
    if (this.#overlay !== undefined && (isClosed || this.flush() > 0))
      return this.#keep(this.#overlay, statement);
    try {
      return this.#file.use((db) => {
        this.#inbox.foldBefore(db, [statement]);
        return db.query<unknown, Row>(statement[0]).run(statement[1]);
      }).changes;
    } catch (error) {
      if (!database.isMediumTrouble(error)) throw error;
      this.#reportOnce(error);
      // From now on without a wait, until a change was written again.
      this.#file.waitForLocks(0);
      this.#overlay ??= new Overlay();
      return this.#keep(this.#overlay, statement);
    }
  }

  #keep(overlay: Overlay, statement: Statement): number {
    const sources = [this.#file.db, this.#inbox.database].filter((source) => source !== undefined);
    const changes = overlay.apply(statement, sources);
    if (!overlay.keep(statement)) {
      const bound = `more than ${overlay.waiting.length} changes wait for the ledger ${this.path}`;
      if (overlay.isFirstLoss && !this.#isReader)
        this.onTrouble(`${bound}: jobs that start from now on are not recorded`);
    }
    this.#scheduleFlush(FLUSH_INTERVAL_MS);
    return changes;
  }

  #scheduleFlush(delayMs: number): void {
    this.#flushing ??= setTimeout(() => {
      this.#flushing = undefined;
      const before = this.#overlay?.waiting.length ?? 0;
      const left = this.flush();
      if (left > 0) this.#scheduleFlush(left < before ? NEXT_PART_MS : FLUSH_INTERVAL_MS);
    }, delayMs).unref();
  }

  #writePart(overlay: Overlay): void {
    const part = overlay.waiting.slice(0, PART);
    this.#file.use((db) => {
      this.#inbox.foldBefore(db, part);
      const misfits: string[] = [];
      db.transaction(() => {
        for (const [sql, parameters] of part) {
          try {
            db.query<unknown, Row>(sql).run(parameters);
          } catch (error) {
            if (database.isMediumTrouble(error) || database.isDamage(error)) throw error;
            // Another ffrtmp ended the job meanwhile, or used its id: its record is kept.
            misfits.push(`a change that had to wait no longer fits the ledger ${this.path}: ${error}`);
          }
        }
      }).immediate();
      for (const misfit of misfits) this.onTrouble(misfit);
    });
    overlay.waiting.splice(0, part.length);
    if (overlay.waiting.length > 0) return;
    this.#reportLoss(overlay);
    this.#overlay = undefined;
    this.#isReported = false;
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    this.#file.waitForLocks();
  }

  #reportLoss(overlay: Overlay): number {
    if (this.#isReader) return 0;
    const lost = overlay.countLost();
    const text = lost === 1 ? "1 change is lost that" : `${lost} changes are lost that`;
    if (lost > 0) this.onTrouble(`${text} could not be written to the ledger ${this.path}`);
    return lost;
  }

  #describe(error: unknown): { reason: string; remedy: string } {
    const describe = this.#isReader ? database.describeReadTrouble : database.describeTrouble;
    return describe(this.path, error);
  }

  #pauseIfStuck(error: unknown): void {
    if (database.isStuck(error)) this.#notBeforeMs = performance.now() + STUCK_PAUSE_MS;
  }

  #reportOnce(error: unknown): void {
    this.#pauseIfStuck(error);
    if (this.#isReported || this.#isReader) return;
    this.#isReported = true;
    const { reason, remedy } = this.#describe(error);
    const consequence = "governing continues, what happens is kept in memory only";
    this.onTrouble(`cannot write the ledger ${this.path} (${reason}): ${consequence}. ${remedy}`);
  }
}
