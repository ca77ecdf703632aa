import type { Limits } from "../../limits/limits.ts";
import { writeCgroupFile } from "./file.ts";
import { type JobCgroup, type JobDirectory, moveOwnThread } from "./jobCgroup.ts";

/**
 * cgroup v1: the thread that starts a workload is in the job's cgroup at its fork, and takes one of its places. It leaves,
 * and its place goes, in two writes, and the workload runs meanwhile: in one order it could be refused a process too early,
 * in the other it could have one too many.
 *
 * So a group lies around the job's own where places are counted. It holds one more than the job may have, and the thread
 * steps from the job's group into it: that frees no place for the workload. Then the job's own limit is written, which
 * counts the workload alone, and only then the thread leaves. At no instant the workload may have more or fewer.
 */

/** To be called on a plan. Where others are counted in the same hierarchy nothing is changed: a group would weigh there. */
export function planLaunchGroup(job: JobCgroup, { pidsMax }: Limits): void {
  if (pidsMax === undefined) return;
  job.directories = job.directories.map((directory) => {
    const { hierarchy, path } = directory;
    const isAlone = hierarchy.version === 1 && hierarchy.controllers.join() === "pids";
    if (!isAlone) return directory;
    return { ...directory, launchGroup: path, path: `${path}${path.slice(path.lastIndexOf("/"))}` };
  });
}

/** Before limits are applied, with one place more than the job is to have. */
export function limitLaunchGroup(job: JobCgroup, { pidsMax }: Limits): void {
  for (const { group, directory } of launchGroups(job)) {
    writeCgroupFile({ fs: job.fs, hierarchy: directory.hierarchy, path: group }, "pids.max", String(pidsMax));
  }
}

/** After the fork, and before the job's own limit is written. */
export function stepAside(job: JobCgroup): void {
  // Where it is refused, the workload may lack a place for a moment: it never has one too many.
  for (const { group, directory } of launchGroups(job)) moveOwnThread(job, directory, group);
}

/** After the thread has left. A limit that stayed there would hold against a later, wider one of the job. */
export function freeLaunchGroup(job: JobCgroup): void {
  for (const { group, directory } of launchGroups(job)) {
    writeCgroupFile({ fs: job.fs, hierarchy: directory.hierarchy, path: group }, "pids.max", "max");
  }
}

function launchGroups({ directories }: JobCgroup): { group: string; directory: JobDirectory }[] {
  return directories.flatMap((directory) =>
    directory.launchGroup === undefined ? [] : [{ group: directory.launchGroup, directory }],
  );
}
