import type { CgroupFs } from "../linux/cgroupFs.ts";
import { hasSameOutcome, type LaunchCalls, makeCall } from "./calls.ts";
import { movesThread } from "./plainCalls.ts";

export interface FailedWrite {
  path: string;
  data: string;
  /** The name of the errno. */
  error: string;
}

/** The scope of a job. `enter` moves this process there, and returns whether it did; `origin` is the cgroup it leaves. */
export interface ReplayedScope {
  readonly origin: string;
  enter(): boolean;
}

/**
 * Repeats the calls of a recorded launch. The planning is a function of the results of these calls: as long as each returns
 * what it returned before, the planning would make the same next call. The first one that differs ends the replay.
 */
export class Replay {
  // Declared only, and set by the constructor: the runtime compiles each list of fields that a class sets itself, 0.07 ms.
  declare private readonly fs: CgroupFs;
  declare private readonly calls: LaunchCalls;
  declare private readonly scope: ReplayedScope | undefined;
  /** The cgroups that were made, in this order. */
  declare private readonly made: string[];
  /** The starting thread may be in the job's cgroup. */
  declare private hasJoined: boolean;
  /** This process is in the scope of the job. */
  declare private isInScope: boolean;

  constructor(fs: CgroupFs, calls: LaunchCalls, scope?: ReplayedScope) {
    this.fs = fs;
    this.calls = calls;
    this.scope = scope;
    this.made = [];
    this.hasJoined = false;
    this.isInScope = false;
  }

  /** Makes the calls before the spawn. Returns false at the first whose outcome differs; then call `undo`. */
  prepare(): boolean {
    const { before, scopedAfter } = this.calls;
    let index = 0;
    for (const recorded of before) {
      if (index++ === scopedAfter && !this.enterScope()) return false;
      const { call, path, data } = recorded;
      // Before the call: a refused one may have moved the thread in the first of two hierarchies.
      if (movesThread(recorded)) this.hasJoined = true;
      const made = makeCall(this.fs, call, path, data);
      if (call === "mkdir" && made.error === undefined) this.made.push(path);
      if (!hasSameOutcome(made, recorded)) return false;
    }
    return true;
  }

  /** Brings the thread back that started the workload. Returns the writes that failed. */
  finish(): FailedWrite[] {
    this.hasJoined = false;
    return this.bringBack();
  }

  /** Does the same for another thread of this process. */
  bringBack(tid = 0): FailedWrite[] {
    const data = String(tid);
    const failures: FailedWrite[] = [];
    for (const { path } of this.calls.after) {
      const { error } = makeCall(this.fs, "write", path, data);
      if (error !== undefined) failures.push({ path, data, error });
    }
    return failures;
  }

  /**
   * Undoes what `prepare` made: brings the thread or the process back, and removes the cgroups in the reverse order; systemd
   * removes the scope. Returns the paths that could not be removed, and those to which nothing could return.
   */
  undo(): string[] {
    const failures = this.hasJoined ? this.finish().map(({ path }) => path) : [];
    if (this.isInScope && this.scope !== undefined) {
      const path = `${this.scope.origin}/cgroup.procs`;
      const { error } = makeCall(this.fs, "write", path, "0");
      if (error !== undefined) failures.push(path);
    }
    for (const path of this.made.toReversed()) {
      const { error } = makeCall(this.fs, "rmdir", path);
      if (error !== undefined && error !== "ENOENT") failures.push(path);
    }
    this.made.length = 0;
    return failures;
  }

  private enterScope(): boolean {
    this.isInScope = this.scope?.enter() ?? false;
    return this.isInScope;
  }
}
