import type { Host } from "../../linux/host.ts";
import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd } from "../../sys/pidfd.ts";

/** A descriptor that stays with one process however its pid is reused; `undefined` where none is to be had. */
export interface ProcessHandle {
  pidfd: number | undefined;
}

/**
 * Opened before the identity is looked at: from then on the descriptor can only be that process's.
 * A kernel before 5.3, a container's seccomp filter or too many open files leave us without; the start time
 * is then all that names the process.
 */
export function openProcessHandle(host: Host, identity: ProcessIdentity): ProcessHandle | "gone" {
  const pidfd = openPidfd(identity.pid);
  if (isAlive(host, identity)) return { pidfd: pidfd < 0 ? undefined : pidfd };
  if (pidfd >= 0) closeFd(pidfd);
  return "gone";
}
