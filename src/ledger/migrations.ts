import type { Database } from "bun:sqlite";
import { journalOf010 } from "./journalOf010.ts";

/** Step N brings a ledger from user_version N to N + 1. A step that was ever released is never edited. */
const MIGRATIONS: (string | ((db: Database) => void))[] = [
  `
  CREATE TABLE jobs (
    key TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('run', 'attach', 'watch')),
    state TEXT NOT NULL CHECK (state IN ('starting', 'running', 'ended')),
    boot_id TEXT NOT NULL,
    pid INTEGER,
    start_ticks INTEGER,
    command TEXT NOT NULL,
    cwd TEXT,
    uid INTEGER,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    observer_pid INTEGER,
    observer_start_ticks INTEGER,
    intent TEXT,
    sla_eligible INTEGER NOT NULL,
    tenant TEXT,
    labels TEXT NOT NULL,
    limits TEXT NOT NULL,
    outcomes TEXT NOT NULL,
    cgroup TEXT NOT NULL,
    touched TEXT NOT NULL,
    log_path TEXT,
    released INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  CREATE UNIQUE INDEX jobs_open_id ON jobs (job_id) WHERE state <> 'ended';
  CREATE UNIQUE INDEX jobs_open_process ON jobs (boot_id, pid, start_ticks) WHERE state <> 'ended';
  CREATE INDEX jobs_by_process ON jobs (pid, start_ticks);
  CREATE INDEX jobs_unreleased ON jobs (created_ms) WHERE released = 0;
  CREATE INDEX jobs_by_id ON jobs (job_id, created_ms);

  CREATE TABLE results (
    key TEXT PRIMARY KEY REFERENCES jobs (key),
    ending TEXT NOT NULL CHECK (ending IN ('exited', 'detached', 'unobserved', 'never_started')),
    start_ms INTEGER,
    end_ms INTEGER NOT NULL,
    exit_code INTEGER,
    signal TEXT,
    exit_evidence TEXT CHECK (exit_evidence IN ('parent', 'pidfd', 'proc-event', 'proc-stat')),
    exit_unknown_because TEXT,
    sla_compliant INTEGER NOT NULL,
    sla_reason TEXT NOT NULL,
    outcomes TEXT NOT NULL,
    usage TEXT NOT NULL,
    CHECK ((exit_code IS NULL AND signal IS NULL) = (exit_evidence IS NULL)),
    CHECK ((exit_evidence IS NULL) = (exit_unknown_because IS NOT NULL))
  ) STRICT;

  CREATE INDEX results_by_end ON results (end_ms);
  CREATE TRIGGER results_are_immutable BEFORE UPDATE ON results
    BEGIN SELECT RAISE(ABORT, 'a result is never changed'); END;
  CREATE TRIGGER results_are_kept BEFORE DELETE ON results
    BEGIN SELECT RAISE(ABORT, 'a result is never deleted'); END;

  -- A new job takes over what an ended job of the same name left behind, so that only the new one removes it.
  CREATE TRIGGER jobs_pass_their_name_on AFTER INSERT ON jobs
    BEGIN UPDATE jobs SET released = 1 WHERE job_id = NEW.job_id AND state = 'ended' AND released = 0; END;
  CREATE TRIGGER results_end_their_job AFTER INSERT ON results
    BEGIN UPDATE jobs SET state = 'ended', observer_pid = NULL, observer_start_ticks = NULL WHERE key = NEW.key; END;

  CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
  ) STRICT;
  CREATE INDEX events_by_job ON events (key, id);

  CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  `,
  `
  ALTER TABLE jobs ADD COLUMN by_hand TEXT;
  ALTER TABLE jobs ADD COLUMN carried_usage TEXT;
  `,
  "ALTER TABLE jobs RENAME COLUMN touched TO changes",
  convertJournals,
  `
  -- By id, for the trigger jobs_pass_their_name_on: an id can be that of a hundred thousand ended jobs.
  CREATE INDEX jobs_not_cleaned_up ON jobs (job_id) WHERE released = 0;
  DROP INDEX jobs_unreleased;
  CREATE INDEX jobs_with_log ON jobs (log_path) WHERE log_path IS NOT NULL;

  -- An inserted key deletes its job with all that belongs to it, in one statement. So the table is always empty, and a
  -- DELETE that names another table is refused.
  CREATE TABLE pruning (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  CREATE TRIGGER pruning_is_of_the_past BEFORE INSERT ON pruning
    WHEN NOT EXISTS (SELECT 1 FROM jobs WHERE key = NEW.key AND state = 'ended' AND released = 1)
    BEGIN SELECT RAISE(ABORT, 'a job that is open or not cleaned up is never deleted'); END;
  CREATE TRIGGER pruning_deletes AFTER INSERT ON pruning
    BEGIN
      DELETE FROM results WHERE key = NEW.key;
      DELETE FROM events WHERE key = NEW.key;
      DELETE FROM jobs WHERE key = NEW.key;
      DELETE FROM pruning WHERE key = NEW.key;
    END;
  DROP TRIGGER results_are_kept;
  CREATE TRIGGER results_are_kept BEFORE DELETE ON results
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE key = OLD.key)
    BEGIN SELECT RAISE(ABORT, 'a result is never deleted, except by ffrtmp prune'); END;
  CREATE TRIGGER jobs_are_kept BEFORE DELETE ON jobs
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE key = OLD.key)
    BEGIN SELECT RAISE(ABORT, 'a job is never deleted, except by ffrtmp prune'); END;
  `,
  "ALTER TABLE jobs ADD COLUMN command_cut INTEGER NOT NULL DEFAULT 0",
  // Rows of earlier releases have no time of CLOCK_BOOTTIME.
  `
  ALTER TABLE jobs ADD COLUMN started_boot_ms INTEGER;
  ALTER TABLE results ADD COLUMN start_boot_ms INTEGER;
  ALTER TABLE results ADD COLUMN end_boot_ms INTEGER;
  ALTER TABLE results ADD COLUMN last_seen_ms INTEGER;
  ALTER TABLE results ADD COLUMN ended_before_ms INTEGER;
  ALTER TABLE events ADD COLUMN at_boot_ms INTEGER;
  `,
  "ALTER TABLE jobs ADD COLUMN decided_by TEXT",
  // For the filters of `history`. None of them grows with jobs that have no tenant, succeed and violate nothing.
  `
  CREATE INDEX results_not_succeeded ON results (end_ms) WHERE exit_code IS NOT 0;
  CREATE INDEX results_violating ON results (end_ms) WHERE sla_compliant = 0;
  CREATE INDEX jobs_by_tenant ON jobs (tenant, key) WHERE tenant IS NOT NULL;
  `,
  // What a job used during its life, as one value: src/metrics/history/encoding.ts. It is deleted with the job.
  `
  CREATE TABLE usage_histories (key TEXT PRIMARY KEY REFERENCES jobs (key), points BLOB NOT NULL) STRICT;
  DROP TRIGGER pruning_deletes;
  CREATE TRIGGER pruning_deletes AFTER INSERT ON pruning
    BEGIN
      DELETE FROM usage_histories WHERE key = NEW.key;
      DELETE FROM results WHERE key = NEW.key;
      DELETE FROM events WHERE key = NEW.key;
      DELETE FROM jobs WHERE key = NEW.key;
      DELETE FROM pruning WHERE key = NEW.key;
    END;
  `,
  // For how long a job was held back, and by which cause: until now, and in its result.
  `
  ALTER TABLE usage_histories ADD COLUMN hindered TEXT;
  ALTER TABLE results ADD COLUMN hindered TEXT;
  `,
  // The ids of jobs that were started with --once. They outlive the records of their jobs, which are deleted.
  `
  CREATE TABLE once_ids (job_id TEXT PRIMARY KEY, used_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TRIGGER once_ids_are_kept BEFORE DELETE ON once_ids
    BEGIN SELECT RAISE(ABORT, 'an id that was used with --once stays used'); END;
    `,
  // The order in which results were recorded, for a reader that continues where it stopped. AUTOINCREMENT: no number is
  // used twice, whatever is deleted. The rowid of `results` would not do, because VACUUM may change it, nor would the key,
  // which is in the order of creation. The id identifies this file and its copies.
  `
  CREATE TABLE identity (ledger_id TEXT NOT NULL) STRICT;
  INSERT INTO identity VALUES (lower(hex(randomblob(16))));
  CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE) STRICT;
  INSERT INTO outbox (key) SELECT key FROM results ORDER BY end_ms, key;
  -- A result is recorded even where its key has a number already.
  CREATE TRIGGER results_are_numbered AFTER INSERT ON results
    BEGIN INSERT OR IGNORE INTO outbox (key) VALUES (NEW.key); END;
  DROP TRIGGER pruning_deletes;
  CREATE TRIGGER pruning_deletes AFTER INSERT ON pruning
    BEGIN
      DELETE FROM usage_histories WHERE key = NEW.key;
      DELETE FROM outbox WHERE key = NEW.key;
      DELETE FROM results WHERE key = NEW.key;
      DELETE FROM events WHERE key = NEW.key;
      DELETE FROM jobs WHERE key = NEW.key;
      DELETE FROM pruning WHERE key = NEW.key;
    END;
  `,
];

/** Converts the jobs that have something left to undo. Those that are cleaned up stay as 0.1.0 wrote them. */
function convertJournals(db: Database): void {
  const rows = db.query<{ key: string; cgroup: string; changes: string }, []>(
    "SELECT key, cgroup, changes FROM jobs WHERE released = 0",
  );
  const update = db.query("UPDATE jobs SET cgroup = $cgroup, changes = $changes WHERE key = $key");
  for (const { key, cgroup, changes } of rows.all()) {
    try {
      const journal = journalOf010(JSON.parse(cgroup), JSON.parse(changes));
      update.run({ key, cgroup: JSON.stringify(journal.cgroup), changes: JSON.stringify(journal.changes) });
    } catch (error) {
      // A row that does not have the form of its table stays as it is, and is reported when it is read.
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    }
  }
}

const SCHEMA_VERSION = MIGRATIONS.length;

/** The file is a sound database that this ffrtmp must not change. */
export class UnusableSchema extends Error {
  /** The first half of a sentence; the second is to use another state directory. */
  readonly remedy: string;

  constructor(reason: string, remedy: string) {
    super(reason);
    this.remedy = remedy;
  }
}

/** Updates the schema. Safe when several processes open a new ledger at the same time. */
export function migrate(db: Database): void {
  returnPagesInSteps(db);
  db.transaction(() => {
    for (const step of MIGRATIONS.slice(readVersion(db))) {
      if (typeof step === "string") db.run(step);
      else step(db);
    }
    db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }).immediate();
}

/**
 * Lets `prune` return free pages to the file system in small steps. Has an effect only before anything is written to the
 * file, the mode of its journal included. Source: https://sqlite.org/pragma.html#pragma_auto_vacuum
 */
export function returnPagesInSteps(db: Database): void {
  db.run("PRAGMA auto_vacuum = INCREMENTAL");
}

export function isCurrent(db: Database): boolean {
  return readVersion(db) === SCHEMA_VERSION;
}

/** Throws UnusableSchema for another program's file and for that of a later ffrtmp, which could lose data. */
export function rejectOtherSchemas(db: Database): void {
  // One transaction, for one state of the file: another process may be creating this ledger.
  db.transaction(() => {
    const isEmpty = db.query("SELECT 1 FROM sqlite_schema LIMIT 1").get() === null;
    const version = readVersion(db);
    const reason = `its schema is version ${version}, and this ffrtmp knows versions up to ${SCHEMA_VERSION}`;
    if (version > SCHEMA_VERSION) throw new UnusableSchema(reason, "Use the newer ffrtmp that wrote it, or");
    if (version === 0 && !isEmpty)
      throw new UnusableSchema("it is the database of something else", "To leave it alone,");
  })();
}

function readVersion(db: Database): number {
  return db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
}
