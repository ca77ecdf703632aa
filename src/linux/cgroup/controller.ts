import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { CgroupLimitName } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
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
