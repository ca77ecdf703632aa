import { Database } from "bun:sqlite";
import { type BigIntStats, lstatSync, readdirSync, statSync } from "node:fs";
import { describeErrno } from "../../sys/errno.ts";
import { openMemory, type Row, type Statement } from "../database.ts";
import { rejectStrangers, UntrustedState } from "../strangers.ts";
import { foldFiles, type Inbox } from "./fold.ts";
import { OPEN_SUFFIX } from "./inboxFile.ts";
import { currentRow, type InboxRecord, isInboxName, isOpenName } from "./inboxRecord.ts";
import { isLasting, readInboxFile } from "./readFile.ts";

/** A directory that changed less than this before it was read can change again with the same time: a tick of the clock. */
const CLOCK_TICK_MS = 20;
/** The files that are read. More wait until these are folded. */
const MAX_FILES = 20_000;
/** The most repetitions of a query while jobs move from the inbox to the ledger. */
const MAX_READS = 5;

/** A file of the inbox as it was read last. */
interface Entry {
  /** `undefined`: the file has no record that may be used, or its job is in the ledger. */
  readonly record: InboxRecord | undefined;
  readonly size: number;
  /** The file can get lines that change its job, before its name changes. */
  readonly isGrowing: boolean;
}

/**
 * The jobs of the inbox that are not in the ledger, as rows that are read beside those of the ledger's file. An open job stays
 * in its file until an ffrtmp changes it, so that a launch that is left alone ends without SQLite. Readers without the
 * right to write see the others here too.
 */
export class InboxView {
  readonly directory: string;
  readonly #report: (text: string) => void;
  readonly #reported = new Set<string>();
  readonly #entries = new Map<string, Entry>();
  /** The names of the files of these jobs, by key. */
  readonly #names = new Map<string, string>();
  #db: Database | undefined;
  /** The state of the directory when it was read last. */
  #stamp: string | undefined;
  #owner: number | undefined;
  #version = 0;
  /** The state of the directory at the last version, with its names if they could change at the same time. */
  #versioned = { stamp: "", names: "" };

  constructor(directory: string, report: (text: string) => void) {
    this.directory = directory;
    this.#report = report;
  }

  /** The rows of `#names`; `undefined` while there are none. */
  get database(): Database | undefined {
    return this.#names.size === 0 ? undefined : this.#db;
  }

  /** Returns a number that changes whenever the inbox has changed. */
  version(): number {
    const stat = this.#stat();
    const stamp = stampOf(stat);
    const before = this.#versioned;
    // A change within one tick of the clock leaves the time as it is.
    const mustList = stat !== undefined && (stamp !== before.stamp ? !isSettled(stat) : before.names !== "");
    const names = mustList ? listNames(this.directory) : "";
    const hasOtherNames = stamp === before.stamp && mustList && names !== before.names;
    const hasGrown = [...this.#entries].some(([name, entry]) => this.#hasGrown(name, entry));
    if (stamp !== before.stamp || hasOtherNames || hasGrown) this.#version++;
    this.#versioned = { stamp, names: stat !== undefined && isSettled(stat) ? "" : names };
    return this.#version;
  }

  /** Returns whether a file claims a job id. */
  claims(jobId: string): boolean {
    return sizeOf(`${this.directory}/${jobId}${OPEN_SUFFIX}`) !== undefined;
  }

  rows(sql: string, parameters: Row): Row[] {
    return this.database?.query<Row, Row>(sql).all(parameters) ?? [];
  }

  /**
   * Returns the rows of the inbox and of the ledger's file. The inbox is read first: a job that is moved meanwhile is then
   * read twice, and not missed.
   */
  rowsBeside(
    sql: string,
    parameters: Row,
    { refresh, fromFile }: { refresh(): void; fromFile(): Row[] },
  ): Row[] {
    for (let reads = 1; ; reads++) {
      refresh();
      if (this.database === undefined) return fromFile();
      const stamp = stampOf(this.#stat());
      const waiting = this.rows(sql, parameters);
      const recorded = fromFile();
      if (reads < MAX_READS && stampOf(this.#stat()) !== stamp) continue;
      const keys = new Set(recorded.map(({ key }) => key).filter((key) => typeof key === "string"));
      return [...waiting.filter(({ key }) => !keys.has(key as string)), ...recorded];
    }
  }

  /**
   * Reads what has changed since the last call. `file`: the ledger, in which a job may be already. Throws errors of the file
   * system that pass, such as EMFILE, and errors of SQLite.
   */
  refresh(file: Database | undefined): void {
    const stat = this.#stat();
    const stamp = stampOf(stat);
    const changed = [...this.#entries].flatMap(([name, entry]) =>
      this.#hasGrown(name, entry) ? [name] : [],
    );
    if (stamp === this.#stamp && changed.length === 0) return;
    const names = new Set(stamp === this.#stamp ? this.#entries.keys() : this.#list(stat));
    // What follows can fail for lack of descriptors, and is repeated then.
    this.#stamp = undefined;
    for (const name of [...this.#entries.keys()]) if (!names.has(name)) this.#drop(name);
    const unread = [...names].filter((name) => !this.#entries.has(name) || changed.includes(name));
    const unfinished = unread.filter((name) => !this.#read(name, file));
    if (unfinished.length > 0) this.#fold(file, unfinished);
    if (stat === undefined || isSettled(stat)) this.#stamp = stamp;
  }

  /** Returns whether there are files that never change again. */
  hasFinal(): boolean {
    return this.#list(this.#stat()).some((name) => !isOpenName(name));
  }

  /** Folds the files that never change again, up to a number of them. Throws errors of SQLite. */
  foldFinal(file: Database, max: number): void {
    const names = this.#list(this.#stat()).filter((name) => !isOpenName(name));
    this.#fold(file, names.slice(0, max));
  }

  /** Folds the jobs that statements change, as far as they are in the inbox alone. Throws errors of SQLite. */
  foldBefore(file: Database, statements: readonly Statement[]): void {
    for (const [, { key }] of statements) {
      if (typeof key !== "string" || !this.#names.has(key)) continue;
      this.refresh(file);
      const name = this.#names.get(key);
      if (name === undefined) continue;
      this.#fold(file, [name]);
      this.#stamp = undefined;
      this.refresh(file);
    }
  }

  /** Only their owner can rename and remove files. */
  #mayFold(file: Database | undefined): file is Database {
    return file !== undefined && this.#owner === process.geteuid?.();
  }

  #fold(file: Database | undefined, names: readonly string[]): void {
    const owner = this.#owner;
    if (owner === undefined || !this.#mayFold(file)) return;
    const inbox: Inbox = { directory: this.directory, owner, report: (text) => this.#reportOnce(text) };
    foldFiles(file, inbox, names);
  }

  /** Lists the files, those of open jobs first, then the oldest. Root lists none in a directory that another user can change. */
  #list(stat: BigIntStats | undefined): string[] {
    this.#owner = undefined;
    if (stat === undefined) return [];
    try {
      rejectStrangers(this.directory);
      const found = readdirSync(this.directory).filter(isInboxName).sort();
      const names = [...found.filter(isOpenName), ...found.filter((name) => !isOpenName(name))];
      this.#owner = Number(stat.uid);
      if (names.length > MAX_FILES)
        this.#reportOnce(
          `${names.length} files wait in ${this.directory}, and only ${MAX_FILES} of them are read`,
        );
      return names.slice(0, MAX_FILES);
    } catch (error) {
      if (!(error instanceof UntrustedState) && !isLasting(error)) throw error;
      this.#reportOnce(`the records in ${this.directory} are left out: ${describeErrno(error)}`);
      return [];
    }
  }

  /** Returns false for a file that only folding brings in order. */
  #read(name: string, file: Database | undefined): boolean {
    const found = readInboxFile(this.directory, name, this.#owner ?? -1);
    this.#drop(name);
    if (found === "gone") return true;
    const { parsed, size } = found;
    const isRejected = typeof parsed === "object" && "rejected" in parsed;
    if (isRejected && !(parsed.isDamaged && this.#mayFold(file)))
      this.#reportOnce(`${this.directory}/${name} is left out: ${parsed.rejected}`);
    const record = isRejected || parsed === "incomplete" ? undefined : unlessEnding(name, parsed);
    const isGrowing = isOpenName(name) && (record === undefined ? parsed === "incomplete" : !record.start);
    const isFolded = record && file?.query("SELECT 1 FROM jobs WHERE key = ?").get(record.key);
    const isUsed = record !== undefined && !isFolded && this.#insert(name, record, file);
    this.#entries.set(name, { record: isUsed ? record : undefined, size, isGrowing });
    return isUsed;
  }

  #insert(name: string, record: InboxRecord, file: Database | undefined): boolean {
    this.#db ??= openRows(file);
    try {
      this.#db.transaction(() => {
        for (const [table, row] of [
          ["jobs", currentRow(record)],
          ["results", record.result],
        ] as const) {
          if (row === undefined) continue;
          const columns = Object.keys(row);
          const sql = `INSERT INTO ${table} (${columns.join()}) VALUES (${columns.map((each) => `$${each}`).join()})`;
          this.#db?.query<unknown, Row>(sql).run(row);
        }
      })();
    } catch {
      // It does not fit the schema, which the fold reports.
      return false;
    }
    this.#names.set(record.key, name);
    this.#version++;
    return true;
  }

  #drop(name: string): void {
    const record = this.#entries.get(name)?.record;
    this.#entries.delete(name);
    if (record === undefined || this.#names.get(record.key) !== name) return;
    this.#names.delete(record.key);
    for (const table of ["results", "jobs"])
      this.#db?.query(`DELETE FROM ${table} WHERE key = ?`).run(record.key);
    this.#version++;
  }

  #hasGrown(name: string, { isGrowing, size }: Entry): boolean {
    return isGrowing && sizeOf(`${this.directory}/${name}`) !== size;
  }

  #stat(): BigIntStats | undefined {
    try {
      return statSync(this.directory, { bigint: true, throwIfNoEntry: false });
    } catch {
      // A user who may not see the directory may not see the ledger beside it.
      return undefined;
    }
  }

  #reportOnce(text: string): void {
    if (this.#reported.has(text)) return;
    this.#reported.add(text);
    this.#report(text);
  }
}

function stampOf(stat: BigIntStats | undefined): string {
  return stat === undefined ? "missing" : `${stat.dev} ${stat.ino} ${stat.ctimeNs}`;
}

function isSettled({ ctimeMs }: BigIntStats): boolean {
  return Math.abs(Date.now() - Number(ctimeMs)) > CLOCK_TICK_MS;
}

/**
 * A job that has its result and not its last name is about to be cleaned up by its writer, which must not be disturbed. If
 * that has died, the recovery of the job folds the file, and finds the result.
 */
function unlessEnding(name: string, record: InboxRecord): InboxRecord {
  return isOpenName(name) ? { ...record, result: undefined } : record;
}

/** Returns the names in a directory as one text; `""` where they cannot be read. */
function listNames(directory: string): string {
  try {
    return readdirSync(directory).sort().join("/");
  } catch {
    return "";
  }
}

/** Returns `undefined` for a file that is missing, or that this user may not see. */
function sizeOf(path: string): number | undefined {
  try {
    return lstatSync(path).size;
  } catch {
    return undefined;
  }
}

/**
 * Opens the tables of a ledger without its indexes and rules: the rows come and go as their files do, and two files can name
 * one process. From the ledger's own schema, which takes a tenth of the time of all its migrations.
 */
function openRows(file: Database | undefined): Database {
  const tables = (file ?? openMemory()).query<{ sql: string }, []>(
    "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name IN ('jobs', 'results', 'events')",
  );
  const db = new Database(":memory:", { strict: true });
  for (const { sql } of tables.all()) db.run(sql);
  return db;
}
