import { isIntent } from "../limits/intents.ts";
import { type JobCgroup, storeJobCgroup } from "../linux/cgroup/jobCgroup.ts";
import {
  type AttributeSet,
  type CarriedFiles,
  type Change,
  type FileWritten,
  isGate,
  type ScopeStarted,
} from "../linux/change.ts";
import type { ScopePlan } from "../linux/systemd/scope.ts";
import type { Context } from "./context.ts";
import type { Job, OpenJob } from "./model/job.ts";

/** A job's cgroups and its journal: every change that ffrtmp made for it and has to undo. */
export type Journal = Pick<Job, "cgroup" | "changes">;

/** Returns the journal of a new job with this cgroup, and this scope around it. */
export function journalOf(cgroup: JobCgroup, scope?: ScopePlan): Journal {
  return withCgroup({ changes: scopeChanges(scope) }, cgroup);
}

export function scopeChanges(scope: ScopePlan | undefined): ScopeStarted[] {
  return scope === undefined ? [] : [{ kind: "scope-started", manager: scope.manager, unit: scope.unit }];
}

/**
 * Returns the journal of a job after its cgroup has changed. The scope stays first, attributes of processes stay last. The
 * gates are those of the job's record: they are no part of its cgroup, and `applyGates` may have changed them since that was
 * read.
 */
export function withCgroup({ changes }: Pick<Job, "changes">, cgroup: JobCgroup): Journal {
  const stored = storeJobCgroup(cgroup);
  const scopes = changes.filter(({ kind }) => kind === "scope-started");
  const all = [...scopes, ...stored.changes, ...attributesOf({ changes })];
  return { cgroup: stored.cgroup, changes: withGates(all, changes.filter(isGate)) };
}

/** Returns a journal with other gates. They are the last of the changes to cgroups, and so the first to be undone. */
export function withGates(changes: readonly Change[], gates: readonly FileWritten[]): Change[] {
  return withWrites(changes, isGate, gates);
}

function withWrites(
  changes: readonly Change[],
  isReplaced: (change: Change) => boolean,
  writes: readonly Change[],
): Change[] {
  const others = changes.filter((change) => !isReplaced(change));
  const attributes = attributesOf({ changes: others });
  return [...others.filter(({ kind }) => kind !== "attribute-set"), ...writes, ...attributes];
}

/** Returns the changes of a job with its gates as they are recorded now: another process may have changed these. */
export function withGatesNow<J extends Job>({ ledger }: Pick<Context, "ledger">, job: J): J {
  if (!isIntent(job.intent)) return job;
  const recorded = ledger.job(job.key);
  return recorded ? { ...job, changes: withGates(job.changes, recorded.changes.filter(isGate)) } : job;
}

/** Returns the changes of a job with all that was written to files of others, as it is recorded now: see `setGovernedQuota`. */
export function withWritesNow<J extends Job>({ ledger }: Pick<Context, "ledger">, job: J): J {
  const recorded = isIntent(job.intent) ? ledger.job(job.key) : undefined;
  if (recorded === undefined) return job;
  const isWritten = ({ kind }: Change): boolean => kind === "file-written";
  return { ...job, changes: withWrites(job.changes, isWritten, recorded.changes.filter(isWritten)) };
}

/** Returns the limits that a job's cgroup has from the one that its processes left, as texts by the name of the file. */
export function carriedOf({ changes }: { changes: readonly Change[] }): CarriedFiles {
  return Object.assign(
    {},
    ...changes.map((change) => (change.kind === "cgroup-created" ? change.carried : {})),
  );
}

export function attributesOf({ changes }: Pick<Job, "changes">): AttributeSet[] {
  return changes.filter((change) => change.kind === "attribute-set");
}

/** Records the cgroup of a job, unless it is recorded already. */
export function recordCgroup<J extends OpenJob>(context: Context, seen: J, cgroup: JobCgroup): J {
  const { ledger } = context;
  const job = withGatesNow(context, seen);
  const journal = withCgroup(job, cgroup);
  const isSame = JSON.stringify(journal) === JSON.stringify({ cgroup: job.cgroup, changes: job.changes });
  return isSame ? job : ledger.recordJournal(job, journal);
}
