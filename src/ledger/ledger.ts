import type { JobResult } from "../jobs/model/ending.ts";
import { type HinderedTimes, parseHinderedTimes } from "../jobs/model/hindered.ts";
import {
  type EndedJob,
  isOpen,
  type Job,
  type JobFields,
  type OpenJob,
  type RunningJob,
  type StartingJob,
  toEnded,
  toRunning,
} from "../jobs/model/job.ts";
import type { JobEvent } from "../jobs/model/jobEvent.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import { isUniqueConflict, type Row } from "./database.ts";
import { DAEMON_KEY, parseJson } from "./eventRows.ts";
import { replacementId } from "./inbox/fold.ts";
import { type JobKey, RecordedJobs } from "./recordedJobs.ts";
import { jobToRow, resultToRow, toRow } from "./rows.ts";

/** Another open job has the same id, or governs the same process. */
export class JobConflict extends Error {}

/** The fields of a job that the policy and the operator set. */
export type SpecChange = Partial<
  Pick<Job, "limits" | "byHand" | "tenant" | "labels" | "intent" | "decidedBy">
>;

/** The facts that are known when a job's processes are governed. Without a journal, it stays as it is recorded. */
type RunningFacts = Pick<RunningJob, "process" | "startedMs" | "startedBootMs" | "outcomes"> &
  Partial<Journal>;

/** A job as its plain launch has recorded it. */
interface InboxJob {
  readonly job: StartingJob;
  readonly running?: RunningFacts | undefined;
  readonly result?: JobResult | undefined;
}

type Journal = Pick<Job, "cgroup" | "changes">;

/** The time in place of that of a job, for an id that no job has and none will have. */
export const RETIRED = 0;

/**
 * The record of all jobs of one state directory, shared by every ffrtmp that uses it.
 * A method that records a change returns the changed job and leaves its argument as it is.
 */
export class Ledger extends RecordedJobs {
  readonly #firstVersion = this.versionOfOthers();

  /** Adds a new job. Throws JobConflict, having written nothing. */
  register(job: OpenJob): void {
    this.#rejectConflictInInbox(job);
    throwingConflicts(() => this.write(...insertInto("jobs", jobToRow(job))));
  }

  /**
   * Adds a new job with an id that no recorded job has, and that was never added this way before. Both are checked in the
   * transaction that adds the job, which is on the disk when this returns. Throws JobConflict or NotWritten, having written
   * nothing.
   */
  registerOnce(job: OpenJob): void {
    const { jobId, createdMs } = job;
    // The inbox first: a job that moves to the file meanwhile is found there.
    this.#rejectConflictInInbox(job);
    if (this.jobsNamed(jobId).length > 0) throw new JobConflict(`a job had the id ${jobId}`);
    const statements = [
      insertInto("jobs", jobToRow(job)),
      insertInto("once_ids", { job_id: jobId, used_ms: createdMs }),
    ];
    throwingConflicts(() =>
      this.writeNowOrNever((db) => {
        const used = db.query("SELECT 1 FROM jobs WHERE job_id = ?").get(jobId);
        if (used !== null) throw new JobConflict(`a job had the id ${jobId}`);
        for (const [sql, row] of statements) db.query<unknown, Row>(sql).run(row);
      }),
    );
  }

  /**
   * Returns when `registerOnce` added a job with this id, or RETIRED; `undefined`: neither. The record of the job may be deleted.
   */
  usedOnceMs(jobId: string): number | undefined {
    const sql = "SELECT used_ms FROM once_ids WHERE job_id = $jobId";
    const usedMs = this.ledgerRows(sql, { jobId })[0]?.["used_ms"];
    return usedMs === undefined ? undefined : Number(usedMs);
  }

  /**
   * Makes an id unusable for `registerOnce`, unless a job had it: then this returns false and changes nothing. A caller that gives
   * a start up must know that an earlier try of it, which may still be in progress, does not succeed afterwards. The change is on
   * the disk when this returns. Throws NotWritten.
   */
  retireId(jobId: string): boolean {
    const [sql, row] = insertInto("once_ids", { job_id: jobId, used_ms: RETIRED });
    let isRetired = false;
    this.writeNowOrNever((db) => {
      const hasJob = db.query("SELECT 1 FROM jobs WHERE job_id = ?").get(jobId) !== null;
      const used = db
        .query<{ used_ms: number }, [string]>("SELECT used_ms FROM once_ids WHERE job_id = ?")
        .get(jobId);
      isRetired = !hasJob && (used === null || used.used_ms === RETIRED);
      if (isRetired && used === null) db.query<unknown, Row>(sql).run(row);
    });
    return isRetired;
  }

  /** Throws JobConflict, having written nothing, when another open job governs the process. */
  recordRunning(job: StartingJob, { process, startedMs, startedBootMs, ...facts }: RunningFacts): RunningJob {
    const { pid, startTicks } = process;
    const started = { started_ms: startedMs, started_boot_ms: startedBootMs };
    const columns: Row = { state: "running", pid, start_ticks: startTicks, ...started };
    throwingConflicts(() => this.#update(job, { ...columns, ...toRow(facts) }));
    return { ...toRunning(job, { process, startedMs, startedBootMs }), ...facts };
  }

  /**
   * Continues in the ledger with a job that this process has recorded in the inbox, where another ffrtmp has folded the
   * file, or the file can no longer be written. Records what the ledger lacks, so that repeating it changes nothing.
   * Returns the job as it is recorded now: with another id where an open job has its id, and still starting where another
   * job governs its process.
   */
  continueFromInbox({ job, running, result }: InboxJob): Job {
    let current: Job = this.job(job.key) ?? this.#registerAnew(job);
    if (current.state === "starting" && running) {
      try {
        current = this.recordRunning(current, running);
      } catch (error) {
        if (!(error instanceof JobConflict)) throw error;
      }
    }
    if (!isOpen(current) || result === undefined) return current;
    const ended = this.recordResult(current, result);
    return ended === "already ended" ? toEnded(current) : ended;
  }

  #registerAnew(job: StartingJob): StartingJob {
    const registered = this.jobsNamed(job.jobId).some(isOpen) ? { ...job, jobId: replacementId(job) } : job;
    this.write(...insertInto("jobs", jobToRow(registered)));
    return registered;
  }

  recordSpec<J extends OpenJob>(job: J, change: SpecChange): J {
    return this.#record(job, change);
  }

  recordOutcomes<J extends OpenJob>(job: J, outcomes: Job["outcomes"]): J {
    return this.#record(job, { outcomes });
  }

  /** An absent half of the journal stays as it is. */
  recordJournal<J extends OpenJob>(job: J, journal: Partial<Journal>): J {
    return this.#record(job, journal);
  }

  /**
   * Records the changes of a job with another set of gates. Returns `undefined`, having written nothing, when the job has
   * ended: its end has undone the gates that were recorded by then.
   */
  recordGates<J extends OpenJob>(job: J, changes: Job["changes"]): J | undefined {
    const sql = "UPDATE jobs SET changes = $changes WHERE key = $key AND state <> 'ended'";
    const isOpenStill = this.countChanges(sql, { ...toRow({ changes }), key: job.key }) === 1;
    return isOpenStill ? { ...job, changes } : undefined;
  }

  recordCarriedUsage<J extends OpenJob>(job: J, carriedUsage: Job["carriedUsage"]): J {
    return this.#record(job, { carriedUsage });
  }

  /** Records both in one statement: usage that is carried without its cgroup's removal would count twice. */
  recordMigration<J extends OpenJob>(job: J, change: Journal & Pick<Job, "carriedUsage">): J {
    return this.#record(job, change);
  }

  /** Records that every change of an ended job is undone, which empties its journal. */
  markCleanedUp(job: EndedJob): EndedJob {
    this.#update(job, { released: 1, changes: "[]" });
    return { ...job, changes: [], cleanedUp: true };
  }

  /** Writes a job's one result, which ends the job. Writes nothing when the job has a result already. */
  recordResult(job: OpenJob, result: JobResult): EndedJob | "already ended" {
    try {
      this.write(...insertInto("results", resultToRow(result)));
    } catch (error) {
      if (isUniqueConflict(error)) return "already ended";
      throw error;
    }
    return toEnded(job);
  }

  /**
   * Replaces the observer of a job. Returns `undefined`, having written nothing, when the job has ended or its
   * observer is no longer the one that `job` names.
   */
  takeOver(job: RunningJob, observer: ProcessIdentity | null): RunningJob | undefined {
    const sql = `UPDATE jobs SET observer_pid = $pid, observer_start_ticks = $startTicks
      WHERE key = $key AND state <> 'ended' AND observer_pid IS $oldPid AND observer_start_ticks IS $oldStartTicks`;
    const { pid = null, startTicks = null } = observer ?? {};
    const { pid: oldPid = null, startTicks: oldStartTicks = null } = job.observer ?? {};
    const parameters = { key: job.key, pid, startTicks, oldPid, oldStartTicks };
    return this.countChanges(sql, parameters) === 1 ? { ...job, observer } : undefined;
  }

  /**
   * Replaces the history of what a job has used, and for how long it was held back. Says why nothing was written: no memory is
   * spent on it.
   */
  recordUsageHistory(
    { key }: JobKey,
    points: Uint8Array,
    hindered?: HinderedTimes,
  ): "recorded" | "no such job" | "not writable" {
    const sql = `INSERT INTO usage_histories (key, points, hindered) SELECT key, $points, $hindered FROM jobs WHERE key = $key
      ON CONFLICT (key) DO UPDATE SET points = excluded.points, hindered = excluded.hindered`;
    const text = hindered === undefined ? null : JSON.stringify(hindered);
    const rows = this.writeToFile(sql, { key, points, hindered: text });
    return rows === undefined ? "not writable" : rows > 0 ? "recorded" : "no such job";
  }

  usageHistory({ key }: JobKey): Uint8Array | undefined {
    return this.fileBytes("SELECT points FROM usage_histories WHERE key = $key", { key });
  }

  /** Returns for how long a job was held back, as a daemon has recorded it last. `undefined`: none has judged it. */
  hinderedTimes({ key }: JobKey): HinderedTimes | undefined {
    const sql = "SELECT CAST(hindered AS BLOB) FROM usage_histories WHERE key = $key";
    const bytes = this.fileBytes(sql, { key });
    return bytes && parseHinderedTimes(parseJson(new TextDecoder().decode(bytes)));
  }

  addEvent({ key }: JobKey, { atMs, atBootMs, kind, detail }: JobEvent): void {
    const row = { key, at_ms: atMs, at_boot_ms: atBootMs ?? null, kind, detail: JSON.stringify(detail) };
    this.write(...insertInto("events", row));
  }

  /** Adds an event of `ffrtmp watch` that belongs to no job. */
  addDaemonEvent(kind: string, detail: object, atMs: number): void {
    const row = { key: DAEMON_KEY, at_ms: atMs, at_boot_ms: null, kind, detail: JSON.stringify(detail) };
    this.write(...insertInto("events", row));
  }

  /**
   * Returns a number that changes whenever another connection has written, or the inbox has changed. 0: the file is not
   * open. Source: PRAGMA data_version.
   */
  versionOfOthers(): number {
    const version = Number(this.fileRows("PRAGMA data_version")[0]?.["data_version"] ?? 0);
    return version === 0 ? 0 : version + this.inboxVersion();
  }

  /**
   * Adds to a job, as this process has recorded it last, what others have recorded since, but not its observer. Where
   * the last change of this process still waits to be written, the job is newer than the ledger and is returned unchanged.
   */
  refresh<J extends OpenJob>(job: J): J {
    // Reading and checking a job takes 0.4 ms at the end of a short `run`, which mostly is alone.
    if (this.#firstVersion !== 0 && this.versionOfOthers() === this.#firstVersion) return job;
    const current = job.state === "running" ? this.job(job.key) : undefined;
    if (current?.state !== "running") return job;
    return { ...job, ...current, observer: job.observer };
  }

  /** Returns true when an operator released the process by `detach`, so that only an operator may govern it again. */
  wasDetached(process: ProcessIdentity): boolean {
    return this.#detachedKeys(process).length > 0;
  }

  /** Lets the policy decide about a process again that an operator has detached. Returns whether one has. */
  returnToPolicy(process: ProcessIdentity, times: Pick<JobEvent, "atMs" | "atBootMs">): boolean {
    const keys = this.#detachedKeys(process);
    for (const key of keys) this.addEvent({ key }, { ...times, kind: "returned_to_policy", detail: {} });
    return keys.length > 0;
  }

  #detachedKeys({ bootId, pid, startTicks }: ProcessIdentity): string[] {
    const [released, returned]: JobEvent["kind"][] = ["released_by_policy", "returned_to_policy"];
    const sql = `SELECT key FROM jobs JOIN results USING (key)
      WHERE boot_id = $bootId AND pid = $pid AND start_ticks = $startTicks AND ending = 'detached'
        AND NOT EXISTS (SELECT 1 FROM events WHERE events.key = jobs.key AND kind IN ($released, $returned))`;
    return this.rows(sql, { bootId, pid, startTicks, released, returned } as Row).map(({ key }) =>
      String(key),
    );
  }

  /** Returns the PIDs of processes that were returned to the policy after an event, and the last event now. */
  returnedAfter(eventId: number): { pids: number[]; last: number } {
    const kind: JobEvent["kind"] = "returned_to_policy";
    const last = Number(this.fileRows("SELECT max(id) AS last FROM events")[0]?.["last"] ?? 0);
    const sql = `SELECT pid FROM events JOIN jobs USING (key) WHERE events.id > $eventId AND kind = $kind`;
    const pids = last > eventId ? this.rows(sql, { eventId, kind }).map(({ pid }) => Number(pid)) : [];
    return { pids, last };
  }

  /** Returns a remark that the ledger keeps about itself. */
  note(name: string): string | undefined {
    const value = this.rows("SELECT value FROM notes WHERE name = $name", { name })[0]?.["value"];
    return value === undefined ? undefined : String(value);
  }

  setNote(name: string, value: string): void {
    const sql =
      "INSERT INTO notes VALUES ($name, $value) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    this.write(sql, { name, value });
  }

  /** Gives the ledger a new id, as if its results were those of a new file. Returns false where it cannot be written now. */
  renewIdentity(): boolean {
    return this.writeToFile("UPDATE identity SET ledger_id = lower(hex(randomblob(16)))", {}) === 1;
  }

  /** The unique indexes of the ledger's file do not know the jobs of the inbox. */
  #rejectConflictInInbox({ jobId, process }: OpenJob): void {
    if (this.isClaimedInInbox(jobId)) throw new JobConflict(`the inbox has a job ${jobId}`);
    if (process === null) return;
    const { bootId, pid, startTicks } = process;
    const where = "state <> 'ended' AND boot_id = $bootId AND pid = $pid AND start_ticks = $startTicks";
    const found = this.inboxRows(`SELECT key FROM jobs WHERE ${where}`, { bootId, pid, startTicks });
    if (found.length > 0) throw new JobConflict(`a job of the inbox governs process ${pid}`);
  }

  #record<J extends OpenJob>(job: J, change: Partial<JobFields>): J {
    this.#update(job, toRow(change));
    return { ...job, ...change };
  }

  #update({ key }: JobKey, columns: Row): void {
    const names = Object.keys(columns);
    if (names.length === 0) return;
    const assignments = names.map((name) => `${name} = $${name}`).join();
    this.write(`UPDATE jobs SET ${assignments} WHERE key = $key`, { ...columns, key });
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
