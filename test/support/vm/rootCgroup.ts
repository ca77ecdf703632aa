import { FFRTMP } from "../sandbox.ts";

/** Returns the command that runs ffrtmp in the root cgroup of v2, where its jobs can have every controller. */
export function atRoot(words: readonly string[]): string[] {
  return ["sh", "-c", 'echo 0 >/sys/fs/cgroup/cgroup.procs && exec "$@"', "sh", FFRTMP, ...words];
}
