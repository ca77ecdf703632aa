import { describeErrno, errnoOf } from "../../../sys/errno.ts";
import type { Host } from "../../host.ts";
import { directoryOf, type Hierarchy, readMembership } from "../hierarchies.ts";

const TRIES = 7;
/** Long enough for the lock to be idle again, so that each move waits as the first one after a pause does. */
const PAUSE_MS = 80;

/**
 * Measures how long a process waits until the kernel has moved it into another cgroup, after a pause: see `warmUpMoveLock`.
 * Moves a child of this process into a cgroup below our own and back, and removes both. Takes about a second.
 *
 * Resolves to the times in ms, or to why there are none.
 */
export async function measureMoveWait(
  host: Host,
  hierarchies: readonly Hierarchy[],
  name: string,
): Promise<number[] | { reason: string }> {
  const own = findOwnCgroup(host, hierarchies);
  if (own === undefined) return { reason: "the cgroup of this process is not visible" };
  const { cgroupFs } = host;
  const group = `${own}/${name}`;
  // It ends with its input, and so with this process.
  const child = Bun.spawn(["cat"], { stdio: ["pipe", "ignore", "ignore"] });
  const move = (directory: string) => cgroupFs.write(`${directory}/cgroup.procs`, String(child.pid));
  const times: number[] = [];
  try {
    cgroupFs.mkdir(group);
    for (let index = 0; index < TRIES; index++) {
      await Bun.sleep(PAUSE_MS);
      const fromMs = performance.now();
      move(index % 2 === 0 ? group : own);
      times.push(performance.now() - fromMs);
    }
    return times;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return { reason: `${describeErrno(error)} at ${group}` };
  } finally {
    await child.stdin.end();
    await child.exited;
    if (cgroupFs.exists(group)) cgroupFs.rmdir(group);
  }
}

function findOwnCgroup(host: Host, hierarchies: readonly Hierarchy[]): string | undefined {
  const membership = readMembership(host, "self");
  // All hierarchies share one lock.
  const hierarchy = hierarchies.find(({ version }) => version === 1) ?? hierarchies[0];
  const path = membership === "gone" || !hierarchy ? undefined : membership.get(hierarchy.key);
  return path === undefined || !hierarchy ? undefined : directoryOf(hierarchy, path);
}
