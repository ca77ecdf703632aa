import type { Host } from "../../linux/host.ts";
import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd } from "../../sys/pidfd.ts";

/**
 * Opens a descriptor that names one process, however its pid is reused. It is opened before the identity is checked: from
 * then on it can only name that process. `pidfd` is `undefined` on a kernel before 5.3, under a container's seccomp filter
 * and with too many open files; then only the start time identifies the process.
 */
export function openProcessHandle(
  host: Host,
  identity: ProcessIdentity,
): { pidfd: number | undefined } | "gone" {
  const pidfd = openPidfd(identity.pid);
  if (isAlive(host, identity)) return { pidfd: pidfd < 0 ? undefined : pidfd };
  if (pidfd >= 0) closeFd(pidfd);
  return "gone";
}
