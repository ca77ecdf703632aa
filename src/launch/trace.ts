import type { CgroupFs } from "../linux/cgroupFs.ts";
import { errnoOf } from "../sys/errno.ts";
import type { CallName, CallResult, CgroupCall, LaunchCalls } from "./calls.ts";

/**
 * Records the calls of a `CgroupFs` in their order, with their results, from the planning of a launch until the thread that
 * started the workload has returned.
 */
export class LaunchTrace {
  /** Passes every call on, and records it until `stop`. */
  readonly fs: CgroupFs;
  #calls: CgroupCall[] | undefined = [];
  #scopedAfter: number | undefined;
  #spawnedAfter: number | undefined;
  #isIncomplete = false;

  constructor(real: CgroupFs) {
    const traced =
      <Result>(call: CallName, act: (path: string, data: string) => Result) =>
      (path: string, data?: string): Result => {
        if (this.#calls === undefined) return act(path, data as string);
        const made = data === undefined ? { call, path } : { call, path, data };
        try {
          const result = act(path, data as string);
          this.#calls.push(result === undefined ? made : { ...made, result: result as CallResult });
          return result;
        } catch (error) {
          const errno = errnoOf(error);
          if (errno === undefined) this.#isIncomplete = true;
          else this.#calls.push({ ...made, error: errno });
          throw error;
        }
      };
    this.fs = {
      read: traced("read", (path) => real.read(path)),
      write: traced("write", (path, data) => real.write(path, data)),
      mkdir: traced("mkdir", (path) => real.mkdir(path)),
      rmdir: traced("rmdir", (path) => real.rmdir(path)),
      exists: traced("exists", (path) => real.exists(path)),
      isFile: traced("isFile", (path) => real.isFile(path)),
      isWritable: traced("isWritable", (path) => real.isWritable(path)),
      realPath: traced("realPath", (path) => real.realPath(path)),
      owner: traced("owner", (path) => real.owner(path)),
      children: traced("children", (path) => real.children(path)),
      files: traced("files", (path) => real.files(path)),
      hasPrograms: traced("hasPrograms", (path) => real.hasPrograms(path)),
      hasProcesses: traced("hasProcesses", (path) => real.hasProcesses(path)),
      watch: (path, onChange) => {
        this.#isIncomplete ||= this.#calls !== undefined;
        return real.watch(path, onChange);
      },
    };
  }

  /** Marks the instant at which this process enters a scope. */
  entersScope(): void {
    this.#scopedAfter ??= this.#calls?.length;
  }

  /** Marks the instant at which the workload exists. */
  spawned(): void {
    this.#spawnedAfter ??= this.#calls?.length;
  }

  /**
   * Ends the recording. Returns the calls before and after the spawn; `undefined` where there was no spawn, or something
   * that cannot be repeated by its record.
   */
  stop(): LaunchCalls | undefined {
    const [calls, at] = [this.#calls, this.#spawnedAfter];
    this.#calls = undefined;
    if (calls === undefined || at === undefined || this.#isIncomplete) return undefined;
    const scopedAfter = this.#scopedAfter;
    return {
      before: calls.slice(0, at),
      after: calls.slice(at),
      ...(scopedAfter === undefined ? {} : { scopedAfter }),
    };
  }
}
