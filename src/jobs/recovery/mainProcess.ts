import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { hasEnded, readStat } from "../../linux/proc/stat.ts";
import type { Context } from "../context.ts";

/**
 * Returns the first session leader among processes: `run` starts each workload in its own session. Returns the first
 * process where the leader has ended.
 */
export function findMainProcess({ host, bootId }: Context, pids: number[]): ProcessIdentity | undefined {
  const stats = pids
    .map((pid) => readStat(host, pid))
    .filter((stat) => stat !== "gone")
    .filter((stat) => !hasEnded(stat))
    .sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
  const main = stats.find(({ pid, session }) => session === pid) ?? stats[0];
  return main && { bootId, pid: main.pid, startTicks: main.startTicks };
}
