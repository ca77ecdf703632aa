import type { Database } from "bun:sqlite";
import { isMediumTrouble, openMemory, type Row, type Statement } from "./database.ts";

/** About 1,500 jobs, and some MB of memory. */
const MAX_WAITING = 10_000;
/** After so many changes, those that can no longer be recorded are removed from memory. */
const PRUNE_INTERVAL = 1000;

const TABLES = ["jobs", "results", "events"];

/**
 * The changes that wait for a ledger file, and the jobs as they are with these changes. A job that was changed is read from
 * here, any other one from the file.
 */
export class Overlay {
  readonly waiting: Statement[] = [];
  readonly #db = openMemory();
  /** The keys of the jobs in `#db`. */
  readonly #keys = new Set<string>();
  /** The keys of jobs whose registration was lost. */
  readonly #unrecorded = new Set<string>();
  #lost = 0;

  constructor() {
    // Only what the file contains is permanent.
    this.#db.run("DROP TRIGGER results_are_kept; DROP TRIGGER jobs_are_kept");
  }

  /** True right after the first change that had no room. */
  get isFirstLoss(): boolean {
    return this.#lost === 1;
  }

  /** Returns the changes that would be lost now. A note of the ledger about itself is no loss. */
  countLost(): number {
    return this.#lost + this.waiting.filter(([sql]) => !sql.startsWith("INSERT INTO notes ")).length;
  }

  /** `recorded` reads the rows of the file; absent while it is not open. */
  rows(sql: string, parameters: Row, recorded: (() => Row[]) | undefined): Row[] {
    const own = this.#db.query<Row, Row>(sql).all(parameters);
    const { key } = parameters;
    if (recorded === undefined || (typeof key === "string" && this.#keys.has(key))) return own;
    // A note: the name is its key.
    if ("name" in parameters && own.length > 0) return own;
    return [...own, ...recorded().filter(({ key }) => typeof key !== "string" || !this.#keys.has(key))];
  }

  /** Makes a change here, to the job as one of the sources has it: the file, or the inbox. Returns the number of changed rows. Throws constraint violations. */
  apply([sql, parameters]: Statement, sources: readonly Database[]): number {
    try {
      for (const source of sources) this.#copyJobs(parameters, source);
    } catch (error) {
      // The change waits all the same.
      if (!isMediumTrouble(error)) throw error;
    }
    const { changes } = this.#db.query<unknown, Row>(sql).run(parameters);
    if (typeof parameters["key"] === "string") this.#keys.add(parameters["key"]);
    return changes;
  }

  /** Adds a change to those that wait. Returns false where there is no room for it, so that it is lost. */
  keep(statement: Statement): boolean {
    const [sql] = statement;
    // A result has room: the jobs that are recorded at that moment are not many.
    const isLast = sql.startsWith("INSERT INTO results ") && this.#isWaitingOrRecorded(statement);
    if (this.waiting.length < MAX_WAITING || isLast) {
      this.waiting.push(statement);
      return true;
    }
    if (sql.startsWith("INSERT INTO jobs ")) this.#unrecorded.add(String(statement[1]["key"]));
    this.#lost++;
    if (this.#lost % PRUNE_INTERVAL === 0) this.#prune();
    return false;
  }

  #isWaitingOrRecorded([, { key }]: Statement): boolean {
    return !this.#unrecorded.has(String(key));
  }

  /** Copies the job that a change is about, and those that a new job could be in conflict with. */
  #copyJobs(
    { key = null, job_id = null, boot_id = null, pid = null, start_ticks = null }: Row,
    source: Database,
  ): void {
    const conditions = ["key = $key"];
    if (job_id !== null) conditions.push("job_id = $job_id AND (state <> 'ended' OR released = 0)");
    if (pid !== null) {
      conditions.push(
        "state <> 'ended' AND boot_id = $boot_id AND pid = $pid AND start_ticks = $start_ticks",
      );
    }
    const where = conditions.map((condition) => `(${condition})`).join(" OR ");
    const found = source
      .query<{ key: string }, Row>(`SELECT key FROM jobs WHERE ${where}`)
      .all({ key, job_id, boot_id, pid, start_ticks });
    for (const { key } of found) {
      if (this.#keys.has(key)) continue;
      this.#keys.add(key);
      for (const table of TABLES) {
        for (const row of source.query<Row, Row>(`SELECT * FROM ${table} WHERE key = $key`).all({ key }))
          this.#insert(table, row);
      }
    }
  }

  #insert(table: string, row: Row): void {
    const names = Object.keys(row);
    // An event of the file can have the number of one that is here.
    const columns = names.filter((name) => name !== "id");
    const values = Object.fromEntries(columns.map((name) => [name, row[name] ?? null]));
    const sql = `INSERT OR IGNORE INTO ${table} (${columns.join()}) VALUES (${columns.map((name) => `$${name}`).join()})`;
    this.#db.query<unknown, Row>(sql).run(values);
  }

  /** Forgets the jobs that are over and will never be recorded, but those that were detached. */
  #prune(): void {
    const over = this.#db
      .query<{ key: string }, []>(
        "SELECT key FROM jobs JOIN results USING (key) WHERE released = 1 AND ending <> 'detached'",
      )
      .all();
    for (const { key } of over.filter(({ key }) => this.#unrecorded.delete(key))) {
      for (const table of TABLES)
        this.#db.query<unknown, Row>(`DELETE FROM ${table} WHERE key = $key`).run({ key });
      this.#keys.delete(key);
    }
  }
}
