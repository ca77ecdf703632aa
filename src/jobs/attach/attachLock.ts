import type { Host } from "../../linux/host.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { lockDirectory } from "../../sys/fileLock.ts";

/** Taking a process takes some milliseconds, a few tens on a busy machine. */
const TIMEOUT_MS = 200;

/**
 * Keeps every other ffrtmp from taking a process at the same time. The ledger decides between those that share one;
 * two with a state directory each would both find the process in nobody's cgroup, and both move it. The lock
 * is on the process's own directory in procfs: all see that, it leaves nothing behind, and the process has no part in it.
 *
 * Whoever can open the directory can hold it up, so it is not waited for longer than another's work takes.
 * Returns how to give it back.
 */
export function lockForAttach({ procRoot }: Host, pid: number): () => void {
  const start = performance.now();
  for (;;) {
    const claim = lockDirectory(`${procRoot}/${pid}`);
    if (typeof claim === "number") return () => void closeFd(claim);
    if (claim !== "locked" || performance.now() - start >= TIMEOUT_MS) return () => {};
    Bun.sleepSync(1);
  }
}
