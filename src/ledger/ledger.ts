import { isUniqueConflict } from "./database.ts";
import {
  type EventRecord,
  type JobRecord,
  jobToRow,
  type Observer,
  type ResultRecord,
  resultToRow,
  rowToJob,
  rowToResult,
} from "./records.ts";
import { LedgerStore, type OnTrouble, type Row } from "./store.ts";

/** Another open job has the same id, or governs the same process. */
export class JobConflict extends Error {}

/** The event of a job that was released because the policy no longer asks for it, and may be taken again when it does. */
export const RELEASED_BY_POLICY = "released_by_policy";

/** The fields of a job that change after it was begun, with their columns. */
const CHANGEABLE = {
  state: "state",
  pid: "pid",
  startTicks: "start_ticks",
  startedMs: "started_ms",
  command: "command",
  intent: "intent",
  tenant: "tenant",
  labels: "labels",
  limits: "limits",
  byHand: "by_hand",
  carriedUsage: "carried_usage",
  outcomes: "outcomes",
  cgroup: "cgroup",
  touched: "touched",
  released: "released",
} as const satisfies Partial<Record<keyof JobRecord, string>>;

export type JobChange = Partial<Pick<JobRecord, keyof typeof CHANGEABLE>>;

/** The record of all jobs of one state directory, shared by every ffrtmp that uses it. */
export class Ledger {
  readonly #store: LedgerStore;

  constructor(path: string, onTrouble: OnTrouble) {
    this.#store = new LedgerStore(path, onTrouble);
  }

  get path(): string {
    return this.#store.path;
  }

  /** Why what is on record cannot be seen, and all is kept in memory only; `undefined` when it can. */
  get unreadableBecause(): string | undefined {
    return this.#store.unreadableBecause;
  }

  /** Puts a new job on record. Throws JobConflict, having written nothing. */
  begin(job: JobRecord): void {
    throwingConflicts(() => this.#store.write(...insertInto("jobs", jobToRow(job))));
  }

  /** Throws JobConflict when the process that it now names is governed by another open job. */
  change(job: JobRecord, change: JobChange): void {
    const changed = { ...job, ...change };
    const row = jobToRow(changed);
    const columns = Object.keys(change).map((field) => CHANGEABLE[field as keyof JobChange]);
    const sql = `UPDATE jobs SET ${columns.map((column) => `${column} = $${column}`).join()} WHERE key = $key`;
    const parameters: Row = { key: job.key };
    for (const column of columns) parameters[column] = row[column] ?? null;
    throwingConflicts(() => this.#store.write(sql, parameters));
    Object.assign(job, change);
  }

  /** Writes a job's one result, which ends it. Returns false, having written nothing, when it has one already. */
  end(job: JobRecord, result: ResultRecord): boolean {
    try {
      this.#store.write(...insertInto("results", resultToRow(result)));
    } catch (error) {
      if (isUniqueConflict(error)) return false;
      throw error;
    }
    Object.assign(job, { state: "ended", observer: null });
    return true;
  }

  /** Takes over the observing of an open job if its observer is still the one that `job` names. Returns whether it did. */
  takeOver(job: JobRecord, observer: Observer | null): boolean {
    const changes = this.#store.countChanges(
      `UPDATE jobs SET observer_pid = $pid, observer_start_ticks = $startTicks
       WHERE key = $key AND state <> 'ended' AND observer_pid IS $oldPid AND observer_start_ticks IS $oldStartTicks`,
      {
        key: job.key,
        pid: observer?.pid ?? null,
        startTicks: observer?.startTicks ?? null,
        oldPid: job.observer?.pid ?? null,
        oldStartTicks: job.observer?.startTicks ?? null,
      },
    );
    if (changes === 1) job.observer = observer;
    return changes === 1;
  }

  addEvent(job: JobRecord, atMs: number, kind: string, detail: unknown): void {
    const row = { key: job.key, at_ms: atMs, kind, detail: JSON.stringify(detail) };
    this.#store.write(...insertInto("events", row));
  }

  /** Changes whenever another process or connection has written. Source: PRAGMA data_version. */
  versionOfOthers(): number {
    return this.#store.rows("PRAGMA data_version")[0]?.["data_version"] as number;
  }

  /** The job as it stands on record now. */
  job(key: string): JobRecord | undefined {
    return this.#jobs("key = $key", { key })[0];
  }

  /**
   * Takes into a job's record what others have changed of it since: its limits, and what became of them. Where our own
   * last change still waits to be written, the record is newer than the ledger and stays as it is.
   */
  refresh(job: JobRecord): void {
    const current = job.state === "running" ? this.job(job.key) : undefined;
    if (current?.state !== "running") return;
    const { limits, byHand, outcomes, cgroup, touched, carriedUsage, tenant, labels, intent } = current;
    Object.assign(job, { limits, byHand, outcomes, cgroup, touched, carriedUsage, tenant, labels, intent });
  }

  openJobs(): JobRecord[] {
    return this.#jobs("state <> 'ended' ORDER BY key");
  }

  /** Jobs of which something may be left in the system, the open ones among them. */
  unreleasedJobs(): JobRecord[] {
    return this.#jobs("released = 0 ORDER BY key");
  }

  /** Ended jobs of which something may be left in the system. */
  endedUnreleased(): JobRecord[] {
    return this.#jobs("released = 0 AND state = 'ended' ORDER BY key");
  }

  /** Every job that used an id, the latest first. */
  jobsNamed(jobId: string): JobRecord[] {
    return this.#jobs("job_id = $jobId ORDER BY created_ms DESC, key DESC", { jobId });
  }

  openJobOfProcess(bootId: string, pid: number, startTicks: number): JobRecord | undefined {
    const where = "state <> 'ended' AND boot_id = $bootId AND pid = $pid AND start_ticks = $startTicks";
    return this.#jobs(where, { bootId, pid, startTicks })[0];
  }

  /** The job whose workload is being started by this ffrtmp, and not on record with its pid yet. */
  jobBeingStartedBy(bootId: string, launcherPid: number): JobRecord | undefined {
    const where = "state = 'starting' AND mode = 'run' AND boot_id = $bootId AND observer_pid = $launcherPid";
    return this.#jobs(where, { bootId, launcherPid })[0];
  }

  /** Whether this very process is an ffrtmp that waits for the end of a job. */
  isObserver(bootId: string, pid: number, startTicks: number): boolean {
    const where =
      "state <> 'ended' AND boot_id = $bootId AND observer_pid = $pid AND observer_start_ticks = $startTicks";
    return this.#jobs(where, { bootId, pid, startTicks }).length > 0;
  }

  /** Whether an operator released this very process by `detach`, so that it is not to be taken again unasked. */
  wasDetached(bootId: string, pid: number, startTicks: number): boolean {
    const sql = `SELECT 1 FROM jobs JOIN results USING (key)
      WHERE boot_id = $bootId AND pid = $pid AND start_ticks = $startTicks AND ending = 'detached'
        AND NOT EXISTS (SELECT 1 FROM events WHERE events.key = jobs.key AND kind = '${RELEASED_BY_POLICY}') LIMIT 1`;
    return this.#store.rows(sql, { bootId, pid, startTicks }).length > 0;
  }

  result(job: Pick<JobRecord, "key">): ResultRecord | undefined {
    return this.#store.rows("SELECT * FROM results WHERE key = $key", { key: job.key }).map(rowToResult)[0];
  }

  /** Ended jobs with their results, the latest first. */
  history(limit: number): { job: JobRecord; result: ResultRecord }[] {
    const jobs = new Map(
      this.#jobs(`key IN (SELECT key FROM results ORDER BY end_ms DESC, key DESC LIMIT $limit)`, {
        limit,
      }).map((job) => [job.key, job]),
    );
    return this.#store
      .rows("SELECT * FROM results ORDER BY end_ms DESC, key DESC LIMIT $limit", { limit })
      .map(rowToResult)
      .flatMap((result) => {
        const job = jobs.get(result.key);
        return job ? [{ job, result }] : [];
      });
  }

  events(job: JobRecord): EventRecord[] {
    return this.#store
      .rows("SELECT at_ms, kind, detail FROM events WHERE key = $key ORDER BY id", { key: job.key })
      .map((row) => ({
        atMs: row["at_ms"] as number,
        kind: row["kind"] as string,
        detail: JSON.parse(row["detail"] as string),
      }));
  }

  /** A remark that the ledger keeps about itself. */
  note(name: string): string | undefined {
    const value = this.#store.rows("SELECT value FROM notes WHERE name = $name", { name })[0]?.["value"];
    return value === undefined ? undefined : String(value);
  }

  setNote(name: string, value: string): void {
    const sql =
      "INSERT INTO notes VALUES ($name, $value) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    this.#store.write(sql, { name, value });
  }

  /** Tries once more to write what had to wait. Returns how many changes still do. */
  flush(): number {
    return this.#store.flush();
  }

  /** Writes what still waits, and says what is lost where that fails. Nothing else needs closing: see LedgerStore. */
  close(): void {
    this.#store.close();
  }

  #jobs(where: string, parameters: Row = {}): JobRecord[] {
    return this.#store.rows(`SELECT * FROM jobs WHERE ${where}`, parameters).map(rowToJob);
  }
}

function insertInto(table: string, row: Row): [string, Row] {
  const names = Object.keys(row);
  return [`INSERT INTO ${table} (${names.join()}) VALUES (${names.map((name) => `$${name}`).join()})`, row];
}

function throwingConflicts(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (isUniqueConflict(error)) throw new JobConflict(String(error), { cause: error });
    throw error;
  }
}
