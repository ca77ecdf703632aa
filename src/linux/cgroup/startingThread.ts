import { describeCode } from "../../sys/errno.ts";
import { backendOf } from "./backends.ts";
import type { Unavailable } from "./controller.ts";
import { writeCgroupFile } from "./file.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";

/**
 * The thread that starts a workload. On cgroup v1 it joins the job's cgroup, so that its child begins there. On cgroup v2,
 * where a child is started inside, the functions do nothing.
 *
 * The thread takes one of the slots of pids.max. It leaves and its slot goes away in two writes, while the workload runs:
 * in one order the workload could be refused a process too early, in the other order it could have one too many.
 *
 * So a cgroup around the job's own, the wrapper slot, counts processes too, with one slot more than the job may have. The
 * thread moves from the job's cgroup into that one: that frees no slot for the workload. Then the job's own limit is
 * written, which counts the workload alone, and only then the thread leaves. The workload has the same number of slots at
 * every instant.
 */

export function joinThread(job: JobCgroup): Unavailable[] {
  return moveThread(job, ({ path }) => path);
}

export function leaveThread(job: JobCgroup): Unavailable[] {
  return moveThread(job, ({ origin }) => origin);
}

/**
 * Moves a thread of this process, which the runtime has started meanwhile, out of the job's cgroup. Returns what the kernel
 * refused.
 */
export function moveThreadOut(job: JobCgroup, tid: number): Unavailable[] {
  return moveThread(job, ({ origin }) => origin, String(tid));
}

/** Call before the limits of the job are applied, with one slot more than the job is to have. */
export function limitWrapperSlot({ fs, directories }: JobCgroup, slots: number | "max"): void {
  for (const { wrapperSlot: path } of directories) {
    if (path !== undefined) writeCgroupFile({ fs, path }, "pids.max", String(slots));
  }
}

/** Call after the fork, and before the job's own limit is written. */
export function moveToWrapperSlot(job: JobCgroup): void {
  // Where the kernel refuses it, the workload can lack a slot for a moment; it never has one too many.
  moveThread(job, ({ wrapperSlot }) => wrapperSlot);
}

/** Call after the thread has left. Without it the limit there would count against a later, wider one of the job. */
export function freeWrapperSlot(job: JobCgroup): void {
  limitWrapperSlot(job, "max");
}

/** A thread that ends meanwhile needs no move. */
const ENDED = describeCode("ESRCH");

function moveThread(
  { fs, directories }: JobCgroup,
  target: (directory: JobDirectory) => string | undefined,
  thread = "0",
): Unavailable[] {
  return directories.flatMap((directory) => {
    const path = target(directory);
    if (path === undefined || backendOf(directory.hierarchy).clonesIntoCgroup) return [];
    // "0" is the writing thread itself. It needs no right beyond the cgroup, and because no other thread moves, the kernel
    // needs no grace period: 0.08 ms, not 7.
    const because = writeCgroupFile({ fs, path }, "tasks", thread);
    return because === undefined || because.startsWith(ENDED)
      ? []
      : directory.controllers.map(({ name }) => ({ controller: name, because }));
  });
}
