import { describeErrno, errnoOf } from "../../sys/errno.ts";
import type { Host } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { listThreads } from "../proc/table.ts";
import { directoryOf, type Hierarchy, readMembership, readThreadMembership } from "./hierarchies.ts";

/** Where a process was asked to go, in one hierarchy. */
export interface Move {
  hierarchy: Hierarchy;
  /** Directory that it must be in now; from anywhere else it is not moved. */
  from: string;
  to: string;
}

/** `elsewhere`: it is not where the move begins. `gone`: it ended. */
export type MoveOutcome = "moved" | "there" | "gone" | { foundIn: string } | { reason: string };

/**
 * Moves one process with all its threads from one cgroup to another.
 *
 * A pid can be reused between any look and the write, and the kernel offers no move by pidfd. So its start time is
 * read before and after: when they differ, the newcomer is put back to where its parent is, for that is where it
 * was born a moment ago.
 */
export function moveProcess(host: Host, pid: number, startTicks: number, move: Move): MoveOutcome {
  const current = directoryOfProcess(host, pid, move.hierarchy);
  if (current === "gone" || startOf(host, pid) !== startTicks) return "gone";
  if (current === move.to) return "there";
  if (current !== move.from) return { foundIn: current ?? "a cgroup that is not visible here" };
  const scattered = findThreadElsewhere(host, pid, move.hierarchy, current);
  if (scattered !== undefined) {
    return {
      reason: `its thread ${scattered} is in another cgroup than its main thread, which could not be put back`,
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

/** The directory of a process in one hierarchy; `undefined` when it lies outside of what is mounted here. */
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

/** On v1 each thread has a cgroup of its own, and moving the process would bring them all together for good. */
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
    return `its pid went to another process during the move, which could not be put back: ${describeErrno(error)} writing "${pid}" to ${file}`;
  }
}

function startOf(host: Host, pid: number): number | undefined {
  const stat = readStat(host, pid);
  return stat === "gone" ? undefined : stat.startTicks;
}
