import { describeErrno, errnoOf } from "../../sys/errno.ts";
import type { Host } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { listThreads } from "../proc/table.ts";
import { directoryOf, type Hierarchy, readMembership, readThreadMembership } from "./hierarchies.ts";

/** A move of a process in one hierarchy. */
export interface Move {
  hierarchy: Hierarchy;
  /** The directory that the process must be in; it is not moved from any other one. */
  from: string;
  to: string;
}

/**
 * The outcome of a move. `there`: the process is at the target already. `gone`: it has ended. `foundIn`: it
 * is in another cgroup than `from`.
 */
export type MoveOutcome = "moved" | "there" | "gone" | { foundIn: string } | { reason: string };

/**
 * Moves one process with all its threads from one cgroup to another.
 *
 * A pid can be reused between any read and the write, and the kernel has no move by pidfd. So the start time
 * is read before and after the write. When they differ, the new process with the pid is moved to the cgroup
 * of its parent, where it started a moment ago.
 */
export function moveProcess(host: Host, pid: number, startTicks: number, move: Move): MoveOutcome {
  const current = directoryOfProcess(host, pid, move.hierarchy);
  if (current === "gone" || startOf(host, pid) !== startTicks) return "gone";
  if (current === move.to) return "there";
  if (current !== move.from) return { foundIn: current ?? "a cgroup that is not visible here" };
  const scattered = findThreadElsewhere(host, pid, move.hierarchy, current);
  if (scattered !== undefined) {
    return {
      reason: `its thread ${scattered} is in another cgroup than its main thread, which could not be restored`,
    };
  }
  const file = `${move.to}/cgroup.procs`;
  try {
    host.cgroupFs.write(file, String(pid));
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return "gone";
    return { reason: `${describeErrno(error)} writing "${pid}" to ${file}` };
  }
  const after = startOf(host, pid);
  if (after === startTicks) return "moved";
  const reason = after === undefined ? undefined : moveToParentsCgroup(host, pid, move);
  return reason === undefined ? "gone" : { reason };
}

/**
 * Returns the cgroup directory of a process in one hierarchy; `undefined` when it is outside of the mount.
 */
export function directoryOfProcess(
  host: Host,
  pid: number,
  hierarchy: Hierarchy,
): string | undefined | "gone" {
  const membership = readMembership(host, pid);
  if (membership === "gone") return "gone";
  const path = membership.get(hierarchy.key);
  return path === undefined ? undefined : directoryOf(hierarchy, path);
}

/**
 * Returns a thread that is in another cgroup than its process. On v1 each thread has its own cgroup, and
 * moving the process would gather them all permanently.
 */
function findThreadElsewhere(
  host: Host,
  pid: number,
  hierarchy: Hierarchy,
  directory: string,
): number | undefined {
  if (hierarchy.version === 2) return undefined;
  return listThreads(host, pid).find((tid) => {
    if (tid === pid) return false;
    const membership = readThreadMembership(host, pid, tid);
    if (membership === "gone") return false;
    return directoryOf(hierarchy, membership.get(hierarchy.key) ?? "") !== directory;
  });
}

function moveToParentsCgroup(host: Host, pid: number, { hierarchy, from }: Move): string | undefined {
  const stat = readStat(host, pid);
  if (stat === "gone") return undefined;
  const parents = directoryOfProcess(host, stat.ppid, hierarchy);
  const file = `${parents === undefined || parents === "gone" ? from : parents}/cgroup.procs`;
  try {
    host.cgroupFs.write(file, String(pid));
    return undefined;
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return undefined;
    return `its pid went to another process during the move, which could not be moved back: ${describeErrno(error)} writing "${pid}" to ${file}`;
  }
}

function startOf(host: Host, pid: number): number | undefined {
  const stat = readStat(host, pid);
  return stat === "gone" ? undefined : stat.startTicks;
}
