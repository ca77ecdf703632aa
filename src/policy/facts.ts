/** The names that a process goes by. */
export interface ProcessNames {
  /** At most 15 bytes. */
  comm: string;
  /** Base name of the first argument as the process shows it; it may change it. Empty when it shows none. */
  argv0: string;
  /** Base name of the executable; empty where it may not be read. */
  executable: string;
}

/**
 * What of a process a policy can ask. Whoever implements it reads a fact when it is asked for, and once: a daemon
 * judges every program that is started on the machine, and most facts cost a file.
 */
export interface ProcessFacts {
  readonly pid: number;
  readonly ppid: number;
  readonly names: ProcessNames;
  /** Empty when it shows none. */
  readonly argv: readonly string[];
  /** Path of the executable; `undefined` where it may not be read. */
  readonly executable: string | undefined;
  /** Effective, as everything it does is judged by. `undefined` where it is hidden. */
  readonly uid: number | undefined;
  /** `undefined` where nothing names the uid. */
  readonly user: string | undefined;
  readonly gid: number | undefined;
  readonly group: string | undefined;
  /** `undefined` where it may not be read. */
  readonly cwd: string | undefined;
  /** The names of its parent, of that one's parent and so on up to init. */
  readonly ancestors: readonly ProcessNames[];
  /** Its cgroup in each hierarchy that is mounted. */
  readonly cgroups: readonly string[];
  /** Id or name of the container that it runs in; `undefined` for a process of the machine itself. */
  readonly container: string | undefined;
  readonly ageMs: number;
  /** `undefined` where it may not be read. */
  readonly environment: ReadonlyMap<string, string> | undefined;
  /** It is a job already, and is judged again because the policy has changed. */
  readonly isGoverned: boolean;
  /** Where a path leads with all symbolic links followed; itself where nothing is there. */
  resolve(path: string): string;
}
