import { writeCgroupFile } from "./file.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";
import { moveOwnThread } from "./ownThread.ts";

/**
 * cgroup v1: the thread that starts a workload is in the job's cgroup at its fork, and takes one of the slots of pids.max.
 * The thread leaves and its slot goes away in two writes, while the workload runs: in one order the workload could be
 * refused a process too early, in the other order it could have one too many.
 *
 * So a cgroup around the job's own counts processes too, with one slot more than the job may have. The thread moves from
 * the job's cgroup into that one: that frees no slot for the workload. Then the job's own limit is written, which counts
 * the workload alone, and only then the thread leaves. The workload has the same number of slots at every instant.
 */

/** Call before the limits of the job are applied, with one slot more than the job is to have. */
export function limitWrapperSlot(job: JobCgroup, slots: number): void {
  writeSlots(job, String(slots));
}

/** Call after the fork, and before the job's own limit is written. */
export function moveToWrapperSlot(job: JobCgroup): void {
  // Where the kernel refuses it, the workload can lack a slot for a moment; it never has one too many.
  for (const { slot, directory } of wrapperSlots(job)) moveOwnThread(job, directory, slot);
}

/** Call after the thread has left. Without it the limit there would count against a later, wider one of the job. */
export function freeWrapperSlot(job: JobCgroup): void {
  writeSlots(job, "max");
}

function writeSlots(job: JobCgroup, data: string): void {
  for (const { slot, directory } of wrapperSlots(job)) {
    writeCgroupFile({ fs: job.fs, hierarchy: directory.hierarchy, path: slot }, "pids.max", data);
  }
}

function wrapperSlots({ directories }: JobCgroup): { slot: string; directory: JobDirectory }[] {
  return directories.flatMap((directory) =>
    directory.wrapperSlot === undefined ? [] : [{ slot: directory.wrapperSlot, directory }],
  );
}
