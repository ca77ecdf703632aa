import type { Host } from "../linux/host.ts";
import { listThreads, moveStartedThreads } from "../linux/proc/table.ts";
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
  declare private readonly host: Host;
  declare private readonly calls: LaunchCalls;
  declare private readonly scope: ReplayedScope | undefined;
  /** The cgroups that were made, in this order. */
  declare private readonly made: string[];
  /** The threads of this process before one of them joined the job's cgroup; `undefined` while none may be there. */
  declare private outside: readonly number[] | undefined;
  /** This process is in the scope of the job. */
  declare private isInScope: boolean;

  constructor(host: Host, calls: LaunchCalls, scope?: ReplayedScope) {
    this.host = host;
    this.calls = calls;
    this.scope = scope;
    this.made = [];
    this.outside = undefined;
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
      if (movesThread(recorded)) this.outside ??= listThreads(this.host, process.pid);
      const made = makeCall(this.host.cgroupFs, call, path, data);
      if (call === "mkdir" && made.error === undefined) this.made.push(path);
      if (!hasSameOutcome(made, recorded)) return false;
    }
    return true;
  }

  /**
   * Brings the thread back that started the workload, and those that the runtime has started meanwhile. Returns the writes that
   * failed.
   */
  finish(): FailedWrite[] {
    const failures: FailedWrite[] = [];
    const { outside } = this;
    if (outside === undefined) return failures;
    this.outside = undefined;
    this.bringBack(0, failures);
    moveStartedThreads(this.host, outside, (tid) => this.bringBack(tid, failures));
    return failures;
  }

  /** Does that for one thread; 0: the calling one. */
  private bringBack(tid: number, failures: FailedWrite[]): void {
    const data = String(tid);
    for (const { path } of this.calls.after) {
      const { error } = makeCall(this.host.cgroupFs, "write", path, data);
      // ESRCH: the thread has ended.
      if (error !== undefined && error !== "ESRCH") failures.push({ path, data, error });
    }
  }

  /**
   * Undoes what `prepare` made: brings the thread or the process back, and removes the cgroups in the reverse order; systemd
   * removes the scope. Returns the paths that could not be removed, and those to which nothing could return.
   */
  undo(): string[] {
    const failures = this.finish().map(({ path }) => path);
    if (this.isInScope && this.scope !== undefined) {
      const path = `${this.scope.origin}/cgroup.procs`;
      const { error } = makeCall(this.host.cgroupFs, "write", path, "0");
      if (error !== undefined) failures.push(path);
    }
    for (const path of this.made.toReversed()) {
      const { error } = makeCall(this.host.cgroupFs, "rmdir", path);
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
