import type { Limits } from "../../limits/limits.ts";
import type { CgroupLimitName } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
import type { CgroupDirectory } from "./file.ts";
import type { FileWrite, PlanLimit } from "./limitPlan.ts";

/** One resource controller of one cgroup version: the files that it brings and what they mean. */
export interface CgroupController {
  /** The kernel's name for it: `io` is `blkio` on v1. */
  readonly name: string;
  /** Whether a job gets a directory for it even when none of its limits was asked for, because it measures. */
  readonly measures: boolean;
  readonly plan: Partial<Record<CgroupLimitName, PlanLimit>>;
  /** For the same limits as `plan`: the writes after which only the limits above apply, as in a new cgroup. */
  readonly lift: Partial<Record<CgroupLimitName, (directory: CgroupDirectory) => FileWrite[]>>;
  usage(directory: CgroupDirectory): Partial<Usage>;
  /** v2: the counters of `usage` that restart at 0 when the controller is disabled and enabled again. */
  readonly resets?: readonly (keyof Usage)[];
  /** The limits that a cgroup itself sets; empty where the controller is off. */
  read(directory: CgroupDirectory): Limits;
  /** False for a cgroup whose limits do not apply below it although they usually do. */
  bindsChildren?(ancestor: CgroupDirectory): boolean;
  /** Why a process of `origin` must not be put into a child of it: the process would lose a limit. */
  unavailable?(origin: CgroupDirectory): string | undefined;
  /** v1: prepares a new directory before anything joins it. Throws what the kernel refuses. */
  prepare?(directory: CgroupDirectory, parent: CgroupDirectory): void;
  /** v2: prepares a new directory that has the controller, before anything joins it. */
  settle?(directory: CgroupDirectory): void;
}

/** Why a controller cannot be used for a job. */
export interface Unavailable {
  controller: string;
  because: string;
}
