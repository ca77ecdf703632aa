import type { Host } from "../../host.ts";
import { directoryOf, type Hierarchy, readMembership } from "../hierarchies.ts";

export interface ToMoveLockWorker {
  /** One number: the count of warm-up requests, or STOP. */
  requests: Int32Array<SharedArrayBuffer>;
  hierarchies: readonly Hierarchy[];
}

export const STOP = -1;

/**
 * Takes the kernel's lock for moves between cgroups once, without moving a process. This may take 20 ms, during which the
 * kernel creates and removes no cgroups. For about as long afterwards, moves do not wait.
 *
 * Moving a process takes cgroup_threadgroup_rwsem for writing, and the first move after a pause waits for an RCU grace
 * period (kernel/cgroup/cgroup.c, kernel/rcu/sync.c). Writing this process into the cgroup that it is in already does the
 * same and leaves it there. The write needs the pid: for "0" the kernel takes no lock on v1.
 */
export function warmUpMoveLock(host: Host, hierarchies: readonly Hierarchy[]): void {
  // All hierarchies share one lock. A v1 `tasks` file needs no rights beyond the cgroup of the one thread.
  const hierarchy = hierarchies.find(({ version }) => version === 1) ?? hierarchies[0];
  const membership = readMembership(host, process.pid);
  const path = membership === "gone" || !hierarchy ? undefined : membership.get(hierarchy.key);
  const directory = path === undefined || !hierarchy ? undefined : directoryOf(hierarchy, path);
  if (directory === undefined) return;
  const file = hierarchy?.version === 1 ? "tasks" : "cgroup.procs";
  host.cgroupFs.write(`${directory}/${file}`, String(process.pid));
}
