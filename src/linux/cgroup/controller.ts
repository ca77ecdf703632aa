import type { CgroupLimitName, LimitOutcome, Limits } from "../../limits/limits.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { WriteResult } from "./file.ts";
import type { Hierarchy } from "./hierarchies.ts";
import type { SavedValue } from "./savedValues.ts";

/** One cgroup directory, with what is needed to read and write it. */
export interface CgroupDirectory {
  fs: CgroupFs;
  hierarchy: Hierarchy;
  path: string;
  /** It is somebody else's, and its own limits count among those that hold already: these, where we wrote over them. */
  ownersHeld?: readonly SavedValue[];
}

/** What a job has used, or a cgroup counted. `null`: nobody knows. */
export interface Usage {
  cpuUserUsec: number | null;
  cpuSystemUsec: number | null;
  /** Time during which runnable threads were held back by the CPU quota. */
  throttledUsec: number | null;
  memoryPeakBytes: number | null;
  /** How often an allocation ran into the cgroup's own hard memory limit. */
  memoryMaxHits: number | null;
  /** Processes of this cgroup that the kernel's OOM killer ended. */
  oomKills: number | null;
  ioReadBytes: number | null;
  ioWriteBytes: number | null;
  /** Time in which at least one thread waited for a CPU (pressure stall information, `some`). */
  cpuPressureUsec: number | null;
  /** Time in which at least one thread waited for memory: for reclaim, for swap, at memory.high. */
  memoryPressureUsec: number | null;
  /** Time in which at least one thread waited for a disk, or at io.max. */
  ioPressureUsec: number | null;
}

export const UNKNOWN_USAGE: Usage = {
  cpuUserUsec: null,
  cpuSystemUsec: null,
  throttledUsec: null,
  memoryPeakBytes: null,
  memoryMaxHits: null,
  oomKills: null,
  ioReadBytes: null,
  ioWriteBytes: null,
  cpuPressureUsec: null,
  memoryPressureUsec: null,
  ioPressureUsec: null,
};

const FIELDS = Object.keys(UNKNOWN_USAGE) as (keyof Usage)[];

/** Of two cgroups that the same workload was in, one after the other. What one of them did not tell is unknown in the sum. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum = (field: keyof Usage): number | null => {
    const [x, y] = [a[field], b[field]];
    if (x === null || y === null) return null;
    return field === "memoryPeakBytes" ? Math.max(x, y) : x + y;
  };
  return Object.fromEntries(FIELDS.map((field) => [field, sum(field)])) as unknown as Usage;
}

/** A sum so far in which nobody knows these. */
export function withUnknown(usage: Usage | null, fields: readonly (keyof Usage)[]): Usage {
  const nothing = Object.fromEntries(FIELDS.map((field) => [field, 0])) as unknown as Usage;
  return { ...(usage ?? nothing), ...Object.fromEntries(fields.map((field) => [field, null])) };
}

/**
 * What was used between two readings of the same cgroup. A counter that was not there at the first has counted from
 * nothing since; one that has gone back was begun anew in between, and is unknown. A peak is known where it is higher than
 * before: else it is from before, and only how high it was at the most.
 */
export function usageSince(before: Usage, now: Usage): Usage {
  const difference = (field: keyof Usage): number | null => {
    const [earlier, later] = [before[field], now[field]];
    if (earlier === null || later === null) return later;
    if (field === "memoryPeakBytes") return later > earlier ? later : null;
    return later >= earlier ? later - earlier : null;
  };
  return Object.fromEntries(FIELDS.map((field) => [field, difference(field)])) as unknown as Usage;
}

export type ApplyLimit = (directory: CgroupDirectory, limits: Limits) => LimitOutcome;
/** Puts back what a new cgroup holds: nothing but what holds above it. */
export type LiftLimit = (directory: CgroupDirectory) => WriteResult;

/** One resource controller of one cgroup version: the files that it brings and what they mean. */
export interface CgroupController {
  /** The kernel's name for it: `io` is `blkio` on v1. */
  readonly name: string;
  /** Whether a job gets a directory for it even when none of its limits was asked for, because it measures. */
  readonly measures: boolean;
  /** v2: usable in a cgroup of single threads too (a threaded controller). */
  readonly dividesThreads?: boolean;
  readonly apply: Partial<Record<CgroupLimitName, ApplyLimit>>;
  /** The same limits as in `apply`. */
  readonly lift: Partial<Record<CgroupLimitName, LiftLimit>>;
  usage(directory: CgroupDirectory): Partial<Usage>;
  /** v2: what of that begins at nothing when it is switched off and on again. */
  readonly forgets?: readonly (keyof Usage)[];
  /** The limits that a cgroup itself sets; none where the controller is off. */
  read(directory: CgroupDirectory): Limits;
  /** Those of its limits that hold for the cgroups below too. */
  readonly inherited: readonly CgroupLimitName[];
  /** False for a cgroup whose limits do not hold below it although they usually do. */
  bindsChildren?(ancestor: CgroupDirectory): boolean;
  /** Why a process of `origin` must not be put into a child of it: it would lose a limit. */
  unavailable?(origin: CgroupDirectory): string | undefined;
  /** Called on a new directory before anything joins it. Throws what the kernel refuses. */
  prepare?(directory: CgroupDirectory, parent: CgroupDirectory): void;
  /** v2: called on a new directory that has the controller, before anything joins it. */
  settle?(directory: CgroupDirectory): void;
}
