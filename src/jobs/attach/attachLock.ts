import type { Host } from "../../linux/host.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { lockDirectory } from "../../sys/fileLock.ts";

/** Attaching takes some milliseconds, a few tens on a busy machine. */
const TIMEOUT_MS = 200;

/**
 * Runs an action while no other ffrtmp attaches to the same process. The ledger decides between those that share one; two
 * with different state directories would both find the process ungoverned, and both move it. The lock is on the process's
 * directory in procfs: every ffrtmp sees that, the lock leaves nothing behind, and the process has no part in it.
 *
 * Any process that can open the directory can also lock it for long, so the action runs without the lock after TIMEOUT_MS.
 */
export function withAttachLock<T>({ procRoot }: Host, pid: number, action: () => T): T {
  const start = performance.now();
  let lock = lockDirectory(`${procRoot}/${pid}`);
  while (lock === "locked" && performance.now() - start < TIMEOUT_MS) {
    Bun.sleepSync(1);
    lock = lockDirectory(`${procRoot}/${pid}`);
  }
  try {
    return action();
  } finally {
    if (typeof lock === "number") closeFd(lock);
  }
}
