import { describeErrno, errnoOf } from "../../sys/errno.ts";
import type { Host } from "../host.ts";
import { isEnding } from "../proc/identity.ts";
import { hasEnded, type ProcStat, readStat } from "../proc/stat.ts";
import { listThreads } from "../proc/table.ts";
import { directoryOf, type Hierarchy, readMembership } from "./hierarchies.ts";

export interface Move {
  hierarchy: Hierarchy;
  /** The directory that the process must be in; it is not moved from any other one. */
  from: string;
  to: string;
}

/**
 * The outcome of a move. `there`: the process is at the target already. `gone`: it has ended or is ending. `foundIn`: it is in another
 * cgroup than `from`.
 */
export type MoveOutcome = "moved" | "there" | "gone" | { foundIn: string } | { reason: string };

/**
 * Moves one process with all its threads from one cgroup to another.
 *
 * A pid can be reused between any read and the write, and the kernel has no move by pidfd. So the start time is read before
 * and after the write. When they differ, the new process with the pid is moved to the cgroup of its parent, where it
 * started a moment ago.
 */
export function moveProcess(host: Host, pid: number, startTicks: number, move: Move): MoveOutcome {
  const { hierarchy, from, to } = move;
  const current = directoryOfProcess(host, pid, hierarchy);
  const before = readStat(host, pid);
  if (current === "gone" || before === "gone" || before.startTicks !== startTicks) return "gone";
  if (current === to) return "there";
  // The kernel shows an ending process of cgroup v1 in the root cgroup, and accepts a move of one without moving it.
  if (isOver(host, before)) return "gone";
  if (current !== from) return { foundIn: current ?? "a cgroup that is not visible here" };
  const scattered = findThreadElsewhere(host, pid, hierarchy, current);
  if (scattered !== undefined) {
    const reason = `its thread ${scattered} is in another cgroup than its main thread, which could not be restored`;
    return { reason };
  }
  const refused = writePid(host, pid, to);
  if (refused !== undefined) return isEnding(host, pid, startTicks) ? "gone" : refused;
  const after = readStat(host, pid);
  if (after === "gone") return "gone";
  if (after.startTicks === startTicks) return isOver(host, after) ? "gone" : "moved";
  const parents = directoryOfProcess(host, after.ppid, hierarchy);
  const stranded = writePid(host, pid, parents === undefined || parents === "gone" ? from : parents);
  if (stranded === undefined || stranded === "gone") return "gone";
  const what = "its pid went to another process during the move, which could not be moved back";
  return { reason: `${what}: ${stranded.reason}` };
}

/** Returns whether a process has ended or is ending, reading more than its stat only where that leaves it open. */
function isOver(host: Host, stat: ProcStat): boolean {
  return hasEnded(stat) || (stat.isExiting && isEnding(host, stat.pid, stat.startTicks));
}

/** Returns the cgroup directory of a process, or "gone"; `undefined` when the cgroup is outside of the mount. */
export function directoryOfProcess(host: Host, pid: number, hierarchy: Hierarchy): string | undefined {
  const membership = readMembership(host, pid);
  return membership === "gone" ? "gone" : directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
}

/**
 * Returns a thread that is in another cgroup than its process. On v1 each thread has its own cgroup, and moving the process
 * would gather them all permanently.
 */
function findThreadElsewhere(
  host: Host,
  pid: number,
  hierarchy: Hierarchy,
  directory: string,
): number | undefined {
  if (hierarchy.version === 2) return undefined;
  return listThreads(host, pid).find((tid) => {
    const membership = tid === pid ? "gone" : readMembership(host, pid, tid);
    return membership !== "gone" && directoryOf(hierarchy, membership.get(hierarchy.key) ?? "") !== directory;
  });
}

/** Returns why the kernel refused to move a process to a directory. */
function writePid(host: Host, pid: number, directory: string): "gone" | { reason: string } | undefined {
  const file = `${directory}/cgroup.procs`;
  try {
    host.cgroupFs.write(file, String(pid));
    return undefined;
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return "gone";
    return { reason: `${describeErrno(error)} writing "${pid}" to ${file}` };
  }
}
