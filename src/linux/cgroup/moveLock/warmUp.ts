import type { Host } from "../../host.ts";
import { directoryOf, type Hierarchy, readMembership } from "../hierarchies.ts";

/**
 * Waits until the kernel lets processes be moved between cgroups, and moves none. May take 20 ms; meanwhile the
 * kernel makes and removes no cgroups either. For about as long afterwards every move is free.
 *
 * Moving a process takes cgroup_threadgroup_rwsem for writing, and the first to do so after a pause waits for an RCU
 * grace period (kernel/cgroup/cgroup.c, kernel/rcu/sync.c). A process that is written into the cgroup that it is in
 * already goes through all of that and stays where it is. Only with its number: with "0" no lock is taken on v1.
 */
export function warmUpMoveLock(host: Host, hierarchies: readonly Hierarchy[]): void {
  // The lock is one for all hierarchies. A v1 `tasks` file asks for no rights beyond the cgroup of the one thread.
  const hierarchy = hierarchies.find(({ version }) => version === 1) ?? hierarchies[0];
  const membership = readMembership(host, process.pid);
  const path = membership === "gone" || !hierarchy ? undefined : membership.get(hierarchy.key);
  const directory = path === undefined || !hierarchy ? undefined : directoryOf(hierarchy, path);
  if (directory === undefined) return;
  const file = hierarchy?.version === 1 ? "tasks" : "cgroup.procs";
  host.cgroupFs.write(`${directory}/${file}`, String(process.pid));
}
