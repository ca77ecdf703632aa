import { basename } from "node:path";
import { openOrigin, removeJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { Change } from "../../linux/change.ts";
import { restoreAttributes } from "../../linux/proc/taskAttributes.ts";
import { attributesOf, sharedWithOthers } from "../changes.ts";
import type { Context } from "../context.ts";
import type { Job } from "../model/job.ts";
import { isOwnScope } from "../placement/jobScope.ts";
import { moveBackToOrigin } from "../placement/moveTree.ts";

/**
 * Undoes the changes that concern the processes of a running job: restores their attributes and moves them back. Returns
 * what could not be undone.
 */
export function undoForProcesses({ host }: Context, job: Job, cgroup: JobCgroup): string[] {
  const failures = restoreAttributes(host, attributesOf(job));
  for (const directory of cgroup.directories) {
    if (isOwnScope(basename(directory.origin))) openOrigin(cgroup, directory);
  }
  return [...failures, ...moveBackToOrigin(host, cgroup)];
}

/**
 * Undoes every other change of a job that has no process in its cgroup: after `undoForProcesses`, after a failed start, and
 * after the job has ended. A controller that another job needs stays on. Returns the cgroups that still contain processes
 * or a value of ours.
 */
export function undoForCgroup(context: Context, job: Job, cgroup: JobCgroup): string[] {
  return removeJobCgroup(cgroup, sharedWithOthers(context, job));
}

/**
 * Disables the controllers that stayed on for other jobs, where these have released them meanwhile. Two jobs that end at
 * once each see the other and leave a controller on; the one that is recorded as cleaned up last undoes it here.
 */
export function undoLastShared(context: Context, job: Job, cgroup: JobCgroup): void {
  if (!cgroup.changes.some(({ kind }) => kind === "controller-enabled")) return;
  const isShared = sharedWithOthers(context, job);
  const isDone = (change: Change): boolean => change.kind !== "controller-enabled" || isShared(change);
  removeJobCgroup({ ...cgroup, changes: cgroup.changes.filter((change) => !isDone(change)) });
}
