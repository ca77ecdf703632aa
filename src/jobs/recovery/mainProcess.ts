import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { hasEnded, type ProcStat, readStat } from "../../linux/proc/stat.ts";
import type { Governor } from "../context.ts";

/** `run` gives each workload a session of its own, so its first process is known by leading one. */
export function isLeader({ pid, session }: ProcStat): boolean {
  return session === pid;
}

/** The first session leader among processes, or the first of all where the leader has ended. */
export function oldestLeader(governor: Governor, pids: number[]): ProcessIdentity | undefined {
  const stats = pids
    .map((pid) => readStat(governor.host, pid))
    .filter((stat) => stat !== "gone")
    .filter((stat) => !hasEnded(stat))
    .sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
  const leader = stats.find(isLeader) ?? stats[0];
  return leader && { bootId: governor.bootId, pid: leader.pid, startTicks: leader.startTicks };
}
