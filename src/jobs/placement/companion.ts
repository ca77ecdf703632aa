import { removeJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import { hasOnlyCompanions } from "../../linux/cgroup/companion.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { Host } from "../../linux/host.ts";
import { type LeftOutside, moveBackToOrigin } from "./moveTree.ts";

/**
 * Removes the companion of a job whose process is not in it: an empty cgroup would show that the job never waited. The
 * caller records the cgroup of the job after that. A companion that cannot be removed stays in the journal.
 */
export function removeCompanion(host: Host, job: JobCgroup): void {
  const companion = job.directories.find(({ hierarchy }) => hasOnlyCompanions(hierarchy));
  if (companion === undefined) return;
  const isOwn = ({ hierarchy }: { hierarchy: string }) => hierarchy === companion.hierarchy.key;
  const alone = { ...job, directories: [companion], changes: job.changes.filter(isOwn) };
  if (moveBackToOrigin(host, alone).length > 0 || removeJobCgroup(alone).length > 0) return;
  job.directories = job.directories.filter((directory) => directory !== companion);
  job.changes = job.changes.filter((change) => !isOwn(change));
}

/** Returns whether a process of the job could not be moved into the companion, which has no controllers. */
export function isOutsideCompanion(leftOutside: readonly LeftOutside[], pid: number): boolean {
  return leftOutside.some(
    (each) => each.pid === pid && each.controllers.length === 0 && each.hasEnded !== true,
  );
}
