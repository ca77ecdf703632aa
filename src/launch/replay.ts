import type { CgroupFs } from "../linux/cgroupFs.ts";
import { hasSameOutcome, type LaunchCalls, makeCall } from "./calls.ts";
import { isReturn } from "./plainCalls.ts";

export interface FailedWrite {
  path: string;
  data: string;
  /** The name of the errno. */
  error: string;
}

/**
 * Repeats the calls of a recorded launch. The planning is a function of the results of these calls: as long as each returns
 * what it returned before, the planning would make the same next call. The first one that differs ends the replay.
 */
export class Replay {
  readonly #fs: CgroupFs;
  readonly #calls: LaunchCalls;
  /** The cgroups that were made, in this order. */
  readonly #made: string[] = [];
  /** The starting thread may be in the job's cgroup. */
  #hasJoined = false;

  constructor(fs: CgroupFs, calls: LaunchCalls) {
    this.#fs = fs;
    this.#calls = calls;
  }

  /** Makes the calls before the spawn. Returns false at the first whose outcome differs; then call `undo`. */
  prepare(): boolean {
    return this.#calls.before.every((recorded) => {
      const { call, path, data } = recorded;
      // Before the call: a refused one may have moved the thread in the first of two hierarchies.
      if (isReturn({ call, path, ...(data === undefined ? {} : { data }) })) this.#hasJoined = true;
      const made = makeCall(this.#fs, call, path, data);
      if (call === "mkdir" && made.error === undefined) this.#made.push(path);
      return hasSameOutcome(made, recorded);
    });
  }

  /** Brings the thread back that started the workload. Returns the writes that failed. */
  finish(): FailedWrite[] {
    this.#hasJoined = false;
    return this.bringBack();
  }

  /** Does the same for another thread of this process. */
  bringBack(tid = 0): FailedWrite[] {
    const data = String(tid);
    const failures: FailedWrite[] = [];
    for (const { path } of this.#calls.after) {
      const { error } = makeCall(this.#fs, "write", path, data);
      if (error !== undefined) failures.push({ path, data, error });
    }
    return failures;
  }

  /**
   * Undoes what `prepare` made: brings the thread back, and removes the cgroups in the reverse order. Returns the paths that
   * could not be removed, and those to which the thread could not return.
   */
  undo(): string[] {
    const failures = this.#hasJoined ? this.finish().map(({ path }) => path) : [];
    for (const path of this.#made.toReversed()) {
      const { error } = makeCall(this.#fs, "rmdir", path);
      if (error !== undefined && error !== "ENOENT") failures.push(path);
    }
    this.#made.length = 0;
    return failures;
  }
}
