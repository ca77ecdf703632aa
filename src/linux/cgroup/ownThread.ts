import { describeErrno } from "../../sys/errno.ts";
import { backendOf } from "./backends.ts";
import type { Unavailable } from "./controller.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";

/**
 * Moves the calling thread into the job's cgroup, and with it the children that it will have. Does nothing on cgroup v2,
 * where a child is started inside.
 */
export function joinThread(job: JobCgroup): Unavailable[] {
  return moveThread(job, ({ path }) => path);
}

export function leaveThread(job: JobCgroup): Unavailable[] {
  return moveThread(job, ({ origin }) => origin);
}

function moveThread(job: JobCgroup, target: (directory: JobDirectory) => string): Unavailable[] {
  return job.directories.flatMap((directory) =>
    backendOf(directory.hierarchy).clonesIntoCgroup ? [] : moveOwnThread(job, directory, target(directory)),
  );
}

/** Moves the calling thread alone. */
export function moveOwnThread({ fs }: JobCgroup, directory: JobDirectory, path: string): Unavailable[] {
  const file = `${path}/${backendOf(directory.hierarchy).ownThreadFile}`;
  try {
    // "0" is the writing thread itself. Because no other thread moves, the kernel needs no grace period: 0.08 ms, not 7.
    fs.write(file, "0");
    return [];
  } catch (error) {
    const because = `${describeErrno(error)} writing "0" to ${file}`;
    return directory.controllers.map(({ name }) => ({ controller: name, because }));
  }
}
