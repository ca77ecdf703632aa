import { evaluateSla } from "../jobs/exit/sla.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { RunningJob, StartingJob } from "../jobs/model/job.ts";
import type { WorkloadEnd } from "../jobs/start/spawn.ts";
import { appendResult, finishInboxFile, hasItsName, type InboxFile } from "../ledger/inbox/inboxFile.ts";
import type { RunningLine } from "../ledger/inbox/inboxLines.ts";
import { knownOnly, UNKNOWN_USAGE, type Usage } from "../limits/usage.ts";
import { readOwnUsage } from "../linux/cgroup/usageReaders.ts";
import type { CgroupFs } from "../linux/cgroupFs.ts";
import type { CgroupCreated, Change } from "../linux/change.ts";
import type { Host } from "../linux/host.ts";
import { errnoOf } from "../sys/errno.ts";

const SCOPE = ".scope";

/** A job of this process that runs, with the facts that were recorded before its start and after it. */
export interface LaunchedJob {
  readonly job: RunningJob;
  readonly registered: StartingJob;
  readonly running: RunningLine["running"];
}

/** A job of a plain launch, whose facts are in a file of the inbox. */
export interface PlainJob extends LaunchedJob {
  readonly file: InboxFile;
}

/**
 * How far the end of a plain launch was recorded. `closed`: the result is recorded and nothing of the job is left in the
 * system. `result-written`: the rest must be done by `recordExit` and the ledger, as another ffrtmp may have folded the file,
 * it could not be written, or a cgroup is in use. `open`: nothing was recorded or removed.
 */
export type PlainEnd =
  | { readonly kind: "closed" | "result-written"; readonly result: JobResult }
  | { readonly kind: "open" };

/**
 * Records the one result of a job that has only cgroups of its own, and removes these: what `recordExit` does, in the same
 * order and with the same result. Leaves anything unusual to it.
 */
export function endPlainJob(
  host: Pick<Host, "cgroupFs" | "now" | "bootNow">,
  { job, file }: Pick<PlainJob, "job" | "file">,
  { ending, measured }: WorkloadEnd,
): PlainEnd {
  const { cgroupFs: fs } = host;
  // Another ffrtmp that has folded the file may have changed the limits. A cgroup that is gone counts nothing.
  if (!hasItsName(file) || !hasOwnCgroupsOnly(job)) return { kind: "open" };
  for (const { path } of job.cgroup) if (!fs.exists(path)) return { kind: "open" };
  const usage: Usage = { ...UNKNOWN_USAGE, ...measured, ...knownOnly(readOwnUsage(fs, job.cgroup)) };
  const { key, outcomes, startedMs: startMs, startedBootMs: startBootMs } = job;
  const { compliant: slaCompliant, reason: slaReason } = evaluateSla(ending, outcomes, usage);
  const [endMs, endBootMs] = [host.now(), host.bootNow()];
  const times = { startMs, startBootMs, endMs, endBootMs, lastSeenMs: null, endedBeforeMs: null };
  const verdict = { slaCompliant, slaReason, outcomes, usage, hinderedSeconds: null };
  const result: JobResult = { key, ending, ...times, ...verdict };
  // Before the removal, so that a death in between loses nothing.
  const isWritten = appendResult(file, result) === "written";
  const isClosed = isWritten && removeCgroups(fs, job.changes) && finishInboxFile(file);
  return { kind: isClosed ? "closed" : "result-written", result };
}

/**
 * Returns whether a job has cgroups that contain nothing else, and no other change of the system was made for it. Its own scope
 * goes away as a whole with this process, its last one.
 */
function hasOwnCgroupsOnly({ cgroup, changes, carriedUsage }: RunningJob): boolean {
  if (carriedUsage !== null) return false;
  for (const { placedAs } of cgroup) if (placedAs !== undefined && placedAs !== "beside") return false;
  for (const change of changes) {
    const isOwn =
      isOwnCreation(change) ||
      change.kind === "processes-moved" ||
      (change.kind === "scope-started" && cgroup.some(({ path }) => path.includes(`/${change.unit}/`))) ||
      (change.kind === "controller-enabled" && isScopeOf(cgroup, change.path));
    if (!isOwn) return false;
  }
  return true;
}

/** Returns whether a cgroup is the scope that was started for the job of another cgroup. */
function isScopeOf(cgroup: RunningJob["cgroup"], path: string): boolean {
  return cgroup.some(
    (own) =>
      own.path === `${path}${path.slice(path.lastIndexOf("/"), -SCOPE.length)}` && path.endsWith(SCOPE),
  );
}

function isOwnCreation(change: Change): change is CgroupCreated {
  return change.kind === "cgroup-created" && change.role !== "tenant";
}

/** Removes cgroups in the reverse order of their creation. Returns false for one that is in use. */
function removeCgroups(fs: CgroupFs, changes: readonly Change[]): boolean {
  for (let index = changes.length - 1; index >= 0; index--) {
    const change = changes[index] as Change;
    if (!isOwnCreation(change)) continue;
    try {
      fs.rmdir(change.path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") return false;
    }
  }
  return true;
}
