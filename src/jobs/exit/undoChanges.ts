import { basename } from "node:path";
import { openOrigin, removeJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { restoreAttributes } from "../../linux/proc/taskAttributes.ts";
import { attributesOf, sharedWithOthers } from "../changes.ts";
import type { Context } from "../context.ts";
import type { Job } from "../model/job.ts";
import { isOwnScope } from "../placement/jobScope.ts";
import { moveBackToOrigin } from "../placement/moveTree.ts";

/** Restores the attributes of a running job's processes and moves them back. Returns the failures. */
export function undoForProcesses({ host }: Context, job: Job, cgroup: JobCgroup): string[] {
  const failures = restoreAttributes(host, attributesOf(job));
  for (const directory of cgroup.directories) {
    if (isOwnScope(basename(directory.origin))) openOrigin(cgroup, directory);
  }
  return [...failures, ...moveBackToOrigin(host, cgroup)];
}

/**
 * Undoes every other change of a job that has no process in its cgroup: after `undoForProcesses`, after a failed start, and
 * after the job has ended. A controller that another job needs stays enabled. Returns the cgroups that still contain
 * processes or a limit of the job.
 */
export function undoForCgroup(context: Context, job: Job, cgroup: JobCgroup): string[] {
  return removeJobCgroup(cgroup, sharedWithOthers(context, job));
}

/**
 * Disables the controllers that stayed enabled for other jobs, where those have ended meanwhile. Two jobs that end at the
 * same time each leave a controller to the other; the last one that is recorded as cleaned up disables it here.
 */
export function undoLastShared(context: Context, job: Job, cgroup: JobCgroup): void {
  const enabled = cgroup.changes.filter(({ kind }) => kind === "controller-enabled");
  const isShared = sharedWithOthers(context, job);
  removeJobCgroup({ ...cgroup, changes: enabled.filter((change) => !isShared(change)) });
}
