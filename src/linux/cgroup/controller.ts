import type { Counters, Details } from "../../limits/counters.ts";
import type { CgroupLimitName } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
import type { CgroupDirectory, CgroupFiles } from "./file.ts";
import type { LimitFiles } from "./limitFiles.ts";

/** One resource controller of one cgroup version: the files that it brings and what they mean. */
export interface CgroupController {
  /** The kernel's name for it: `io` is `blkio` on v1. */
  readonly name: string;
  /** A job gets a directory for it only when one of its limits was asked for. */
  readonly isOnDemand?: true;
  readonly limits: Partial<Record<CgroupLimitName, LimitFiles>>;
  readonly usage?: UsageReader;
  /**
   * Reads the present counters, two readings of which give a rate, and adds those that are not known yet. A sampler does so each
   * second, so that an object for each controller would cost more than the rest.
   */
  counters?(directory: CgroupDirectory, known: Counters): void;
  /** Does the same with those that a sampler reads less often. */
  details?(directory: CgroupDirectory, known: Details): void;
  /** v2: the counters of `usage` that restart at 0 when the controller is disabled and enabled again. */
  readonly resets?: readonly (keyof Usage)[];
  /** Returns false for a cgroup whose limits do not apply below it although they usually do. */
  bindsChildren?(ancestor: CgroupDirectory): boolean;
  /** Returns why a process of `origin` must not be put into a child of it: the process would lose a limit. */
  unavailable?(origin: CgroupDirectory): string | undefined;
  /** v1: prepares a new directory before anything joins it. Throws the kernel's error. */
  prepare?(directory: CgroupDirectory): void;
}

/** Reads what a cgroup has used. */
export type UsageReader = (files: CgroupFiles) => Partial<Usage>;

/** By the name of the controller. */
export type UsageReaders = Readonly<Record<string, UsageReader>>;

export interface Unavailable {
  controller: string;
  because: string;
}
