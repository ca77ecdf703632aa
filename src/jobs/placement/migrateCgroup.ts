import { dirname } from "node:path";
import { addUsage } from "../../limits/usage.ts";
import type { Place } from "../../linux/cgroup/backend.ts";
import { createJobCgroup, driftOf, removeFormerDirectories } from "../../linux/cgroup/cgroupChanges.ts";
import { cgroupPathOf, readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup, JobDirectory } from "../../linux/cgroup/jobCgroup.ts";
import { readFormerUsage } from "../../linux/cgroup/jobUsage.ts";
import { listOccupants } from "../../linux/cgroup/members.ts";
import { type CgroupChange, changeKey } from "../../linux/change.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { carriedOf, recordCgroup, withCgroup, withGatesNow } from "../changes.ts";
import type { Context } from "../context.ts";
import { limitsInForce, type Tenant } from "../job.ts";
import type { RunningJob } from "../model/job.ts";
import { jobCgroupOf, planCgroup, respectDisabled } from "./jobCgroup.ts";

/**
 * Creates the directories and enables the controllers that a running job needs for its limits and tenant and does not have
 * yet. The caller then applies the limits, moves the processes and calls `removeFormerCgroup`. The changes are recorded
 * first, so that the next ffrtmp finishes a migration whose ffrtmp died.
 */
export function migrateCgroup(
  context: Context,
  job: RunningJob,
  tenant: Tenant | null,
): { job: RunningJob; cgroup: JobCgroup } {
  const current = jobCgroupOf(context, job);
  const planned = planAgain(context, job, current, tenant);
  const cgroup: JobCgroup = { ...current, unavailable: planned.unavailable };
  const known = new Set(current.changes.map(changeKey));
  const added: CgroupChange[] = [];
  const directories = planned.directories.flatMap((directory) => {
    const key = directory.hierarchy.key;
    const before = current.directories.find(({ hierarchy }) => hierarchy.key === key);
    // One migration at a time: the processes that the last one left behind are moved first.
    if (before?.formerly !== undefined) return [];
    const isSame = [before?.path, before?.wrapperSlot, before?.carrier].includes(directory.path);
    const needed = planned.changes.filter(
      (change) => change.hierarchy === key && (!isSame || change.kind === "controller-enabled"),
    );
    const drift = driftOf(current.fs, needed);
    const changes = needed.filter((change) => drift.includes(change) || !known.has(changeKey(change)));
    added.push(...changes);
    return changes.length === 0 ? [] : [succeed(directory, before, isSame)];
  });
  if (directories.length === 0) return { job, cgroup };
  const replaced = new Set(directories.map(({ hierarchy }) => hierarchy.key));
  const isNew = new Set(added.map(changeKey));
  const kept = current.directories.filter(({ hierarchy }) => !replaced.has(hierarchy.key));
  cgroup.directories = [...kept, ...directories];
  // Controllers first: they are disabled after the directories that need them are removed.
  const isController = ({ kind }: CgroupChange): boolean => kind === "controller-enabled";
  cgroup.changes = [
    ...added.filter(isController),
    ...current.changes.filter((change) => !isNew.has(changeKey(change))),
    ...added.filter((change) => !isController(change)),
  ];
  const recorded = recordCgroup(context, job, cgroup);
  const made: JobCgroup = { ...cgroup, directories, unavailable: [] };
  createJobCgroup(made, added);
  cgroup.changes = made.changes;
  cgroup.unavailable.push(...made.unavailable);
  cgroup.directories = [...kept, ...made.directories];
  return { job: recorded, cgroup };
}

/**
 * Removes the directories that a migrated job has left, and carries their counters. Does nothing while one of them
 * contains processes: the next call for the job moves them.
 */
export function removeFormerCgroup(context: Context, job: RunningJob, cgroup: JobCgroup): RunningJob {
  const { ledger } = context;
  const former = cgroup.directories.flatMap(({ formerly }) => formerly ?? []);
  const usage = readFormerUsage(cgroup);
  if (usage === undefined || former.some((path) => listOccupants(cgroup.fs, path).length > 0)) return job;
  removeFormerDirectories(cgroup);
  const carriedUsage = job.carriedUsage === null ? usage : addUsage(job.carriedUsage, usage);
  return ledger.recordMigration(job, { carriedUsage, ...withCgroup(withGatesNow(context, job), cgroup) });
}

/** Plans the job's cgroup again: below its origin where it has a directory, elsewhere below where its process is. */
function planAgain(context: Context, job: RunningJob, current: JobCgroup, tenant: Tenant | null): JobCgroup {
  const found = readMembership(context.host, job.process.pid);
  const membership = new Map(found === "gone" ? [] : found);
  for (const { hierarchy, origin } of current.directories) {
    membership.set(hierarchy.key, cgroupPathOf(hierarchy, origin));
  }
  // A job stays where it was placed.
  const placed = current.directories.find(({ placedAs }) => placedAs !== "child");
  const place = placed === undefined ? ({ placedAs: "child" } as const) : placeOf(current, placed);
  const stat = readStat(context.host, job.process.pid);
  const cgroup = planCgroup(context, job.jobId, membership, {
    limits: limitsInForce(job),
    tenant,
    place,
    ...(stat !== "gone" && { nice: stat.nice }),
  });
  respectDisabled(context, cgroup);
  return cgroup;
}

function placeOf(job: JobCgroup, { placedAs, path, carrier }: JobDirectory): Place {
  if (placedAs === "scope") return { placedAs, scope: dirname(path) };
  if (placedAs !== "beside") return { placedAs };
  return { placedAs, parent: dirname(carrier ?? path), carried: carriedOf(job) };
}

/** Returns the planned directory with the recorded facts of the one that it replaces. */
function succeed(planned: JobDirectory, before: JobDirectory | undefined, isSame: boolean): JobDirectory {
  if (before === undefined) return planned;
  if (isSame) return { ...before, controllers: planned.controllers };
  const { path: formerly, countedBefore } = before;
  return { ...planned, formerly, ...(countedBefore && { countedBefore }) };
}
