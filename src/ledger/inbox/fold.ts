import type { Database } from "bun:sqlite";
import { renameSync, unlinkSync } from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import { isDamage, isMediumTrouble, isUniqueConflict, type Row } from "../database.ts";
import { currentRow, FOLDED_SUFFIX, type InboxRecord, isOpenName } from "./inboxRecord.ts";
import { type ReadFile, readInboxFile } from "./readFile.ts";

/** The files that are folded in one transaction, which other processes wait for: some 20 ms. */
const FILES_PER_TRANSACTION = 200;
/** A writer takes microseconds from the creation to the first line. After a day it has died in between. */
const ABANDONED_AFTER_MS = 86_400_000;
const MAX_JOB_ID = 128;
/** A file that no ffrtmp reads any more, for the operator to see. */
const DAMAGED_SUFFIX = ".damaged";

export interface Inbox {
  readonly directory: string;
  /** The owner of the directory, who has written the files. */
  readonly owner: number;
  /** Reports to the operator a file that cannot be used, or a job that gets another id. */
  report(text: string): void;
}

/**
 * Moves files of the inbox into the ledger. The order makes it safe at any instant, for any number of processes: first the
 * commit, then the new name, by which the writer learns that its job is in the ledger, then what the writer has appended
 * until then, and only then the removal. A file that is found a second time changes nothing. Throws errors of SQLite: what
 * is not folded stays as it is.
 */
export function foldFiles(db: Database, inbox: Inbox, names: readonly string[]): void {
  for (let start = 0; start < names.length; start += FILES_PER_TRANSACTION) {
    const part = names.slice(start, start + FILES_PER_TRANSACTION);
    const renamed = foldPart(db, inbox, part).flatMap((each) => takeName(inbox, each));
    if (renamed.length > 0) foldPart(db, inbox, renamed);
  }
}

/** Folds some files, removes those that are final, and returns the others. */
function foldPart(db: Database, inbox: Inbox, names: readonly string[]): { name: string; key: string }[] {
  const files = names.flatMap((name) => {
    const file = readInboxFile(inbox.directory, name, inbox.owner);
    return file === "gone" ? [] : [{ name, file }];
  });
  const merged = new Map<string, string>();
  const misfits = new Map<string, string>();
  const records = files.flatMap(({ name, file: { parsed } }) =>
    typeof parsed === "string" || "rejected" in parsed ? [] : [{ name, parsed }],
  );
  const mergeAll = db.transaction(() => {
    for (const { name, parsed } of records) {
      const misfit = mergeSafely(db, inbox, parsed);
      if (misfit === undefined) merged.set(name, parsed.key);
      else misfits.set(name, misfit);
    }
  });
  if (records.length > 0) mergeAll.immediate();
  for (const { name, file } of files) {
    if (!merged.has(name)) putAside(inbox, name, file, misfits.get(name));
    else if (!isOpenName(name)) removeFolded(inbox, name, file);
  }
  return [...merged].map(([name, key]) => ({ name, key })).filter(({ name }) => isOpenName(name));
}

/** Gives the file of a job that is in the ledger a name that its writer does not know. Returns the name. */
function takeName({ directory }: Inbox, { name, key }: { name: string; key: string }): string[] {
  const taken = `${key}${FOLDED_SUFFIX}`;
  try {
    renameSync(`${directory}/${name}`, `${directory}/${taken}`);
    return [taken];
  } catch (error) {
    // Its writer has finished it, or another process was faster.
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Returns why the schema of the ledger does not accept a record. */
function mergeSafely(db: Database, inbox: Inbox, record: InboxRecord): string | undefined {
  try {
    // A savepoint: one file must not undo the others.
    db.transaction(() => mergeRecord(db, record, inbox.report))();
    return undefined;
  } catch (error) {
    if (isMediumTrouble(error) || isDamage(error)) throw error;
    return error instanceof Error ? error.message : String(error);
  }
}

/** Records what an inbox file says and the ledger does not know yet. Repeating it changes nothing. */
function mergeRecord(db: Database, record: InboxRecord, report: (text: string) => void): void {
  const { key, start, result, isCleanedUp } = record;
  const select = "SELECT state, released FROM jobs WHERE key = ?";
  const before = db.query<{ state: string; released: number }, [string]>(select).get(key);
  if (before === null && result !== undefined && isCleanedUp) {
    // It is not open at any time, so that it is in conflict with no job.
    insert(db, "jobs", currentRow(record));
    insert(db, "results", result);
    return;
  }
  if (before === null) insertOpen(db, record, report);
  const state = before?.state ?? "starting";
  if (result === undefined) {
    if (state === "starting" && start !== undefined) startUnlessGoverned(db, key, start);
    return;
  }
  // The schema ends the job with its result. The columns of its start are in conflict with none after that.
  if (state !== "ended") insert(db, "results", result);
  if (state === "starting" && start !== undefined) update(db, key, { ...start, state: "ended" });
  if (isCleanedUp && before?.released === 0) update(db, key, { released: 1, changes: "[]" });
}

/** Inserts a job that is starting. Where another open job has its id, it gets a longer one. */
function insertOpen(db: Database, { key, jobId, job }: InboxRecord, report: (text: string) => void): void {
  const holder = db.query("SELECT 1 FROM jobs WHERE job_id = ? AND state <> 'ended'").get(jobId);
  if (holder === null) {
    insert(db, "jobs", job);
    return;
  }
  const otherId = replacementId({ key, jobId });
  insert(db, "jobs", { ...job, job_id: otherId });
  report(`two jobs that run have the id ${jobId}: the one that was recorded later has the id ${otherId} now`);
}

/** Returns the id of a job whose own id an open job has. */
export function replacementId({ key, jobId }: { key: string; jobId: string }): string {
  const suffix = `-${key.slice(-8)}`;
  return `${jobId.slice(0, MAX_JOB_ID - suffix.length)}${suffix}`;
}

/** Records a start. A job whose process another job governs stays recorded as starting, until its result comes. */
function startUnlessGoverned(db: Database, key: string, start: Row): void {
  try {
    update(db, key, start);
  } catch (error) {
    if (!isUniqueConflict(error)) throw error;
  }
}

function insert(db: Database, table: string, row: Row): void {
  const names = Object.keys(row);
  const sql = `INSERT INTO ${table} (${names.join()}) VALUES (${names.map((name) => `$${name}`).join()})`;
  db.query<unknown, Row>(sql).run(row);
}

function update(db: Database, key: string, columns: Row): void {
  const assignments = Object.keys(columns).map((name) => `${name} = $${name}`);
  db.query<unknown, Row>(`UPDATE jobs SET ${assignments.join()} WHERE key = $key`).run({ ...columns, key });
}

/**
 * Removes a file without a record, whose writer is dead, and renames a damaged one. Leaves any other one as it is: it is from
 * another version of ffrtmp, or another user may have written it.
 */
function putAside(inbox: Inbox, name: string, { parsed, mtimeMs }: ReadFile, misfit?: string): void {
  if (parsed === "incomplete") {
    if (Math.abs(Date.now() - mtimeMs) > ABANDONED_AFTER_MS) remove(inbox, name);
  } else if (misfit !== undefined) keepDamaged(inbox, name, misfit);
  else if ("rejected" in parsed && parsed.isDamaged) keepDamaged(inbox, name, parsed.rejected);
}

/** Removes a file whose content is in the ledger, and keeps one with lines that are not. */
function removeFolded(inbox: Inbox, name: string, { parsed }: ReadFile): void {
  if (typeof parsed === "object" && "damage" in parsed && parsed.damage !== undefined)
    keepDamaged(inbox, name, parsed.damage);
  else remove(inbox, name);
}

function keepDamaged({ directory, report }: Inbox, name: string, reason: string): void {
  const aside = `${name}${DAMAGED_SUFFIX}`;
  renameSync(`${directory}/${name}`, `${directory}/${aside}`);
  report(`${directory}/${name} is damaged (${reason}): it was set aside as ${aside}`);
}

function remove({ directory }: Inbox, name: string): void {
  try {
    unlinkSync(`${directory}/${name}`);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
