import type { SchedulerLabels } from "../linux/proc/schedulers.ts";
import { MAX_ENVIRONMENT_BYTES } from "../linux/proc/table.ts";

const SEARCHED = `the first ${MAX_ENVIRONMENT_BYTES / 1024} KiB of the environment`;

/** Returns where a variable was not found: `" in the first 128 KiB of the environment"`, or "" for all of it. */
export function searchedPart({ isEnvironmentCut }: Pick<ProcessFacts, "isEnvironmentCut">): string {
  return isEnvironmentCut ? ` in ${SEARCHED}` : "";
}

export interface ProcessNames {
  /** At most 15 bytes. */
  comm: string;
  /** Base name of the first argument, which the process itself can change. Empty when it has none. */
  argv0: string;
  /** Base name of the executable; empty where it cannot be read. */
  executable: string;
}

/**
 * The facts of a process that a policy can ask for. An implementation reads each fact once, and only when
 * it is asked for: the daemon decides about every program that starts on the machine, and most facts cost a
 * file.
 */
export interface ProcessFacts {
  readonly pid: number;
  readonly ppid: number;
  readonly names: ProcessNames;
  /** Empty when the process shows none. */
  readonly argv: readonly string[];
  /** The command line is longer than `argv`, which is the part that is read (`MAX_ARGUMENT_BYTES`). */
  readonly isArgvCut: boolean;
  /** Path of the executable; `undefined` where it cannot be read. */
  readonly executable: string | undefined;
  /** The effective uid, which the kernel checks permissions by. `undefined` where it is hidden. */
  readonly uid: number | undefined;
  /** `undefined` where the uid has no name. */
  readonly user: string | undefined;
  readonly gid: number | undefined;
  readonly group: string | undefined;
  /** `undefined` where it cannot be read. */
  readonly cwd: string | undefined;
  /** The names of the parent, of its parent and so on up to init. */
  readonly ancestors: readonly ProcessNames[];
  /** The cgroup of the process in each mounted hierarchy. */
  readonly cgroups: readonly string[];
  /** Id or name of the container of the process; `undefined` for a process of the host. */
  readonly container: string | undefined;
  /** Labels of the process's scheduler, from its cgroups. Empty without one. */
  readonly labels: SchedulerLabels;
  readonly ageMs: number;
  /** `undefined` where it cannot be read. */
  readonly environment: ReadonlyMap<string, string> | undefined;
  /** The environment is longer than the part that is searched (`MAX_ENVIRONMENT_BYTES`). */
  readonly isEnvironmentCut: boolean;
  /** The process is a job, and is decided again because the policy has changed. */
  readonly isGoverned: boolean;
  /** Returns a path with all symbolic links followed; the path itself where nothing exists there. */
  resolve(path: string): string;
}
