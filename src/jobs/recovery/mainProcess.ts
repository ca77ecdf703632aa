import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { hasEnded, type ProcStat, readStat } from "../../linux/proc/stat.ts";
import type { Context } from "../context.ts";

/** `run` gives each workload a session of its own, so its first process is known by leading one. */
export function leadsSession({ pid, session }: ProcStat): boolean {
  return session === pid;
}

/** The first session leader among processes, or the first of all where the leader has ended. */
export function findMainProcess(context: Context, pids: number[]): ProcessIdentity | undefined {
  const stats = pids
    .map((pid) => readStat(context.host, pid))
    .filter((stat) => stat !== "gone")
    .filter((stat) => !hasEnded(stat))
    .sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
  const leader = stats.find(leadsSession) ?? stats[0];
  return leader && { bootId: context.bootId, pid: leader.pid, startTicks: leader.startTicks };
}
