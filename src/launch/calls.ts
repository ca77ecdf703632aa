import type { CgroupFs } from "../linux/cgroupFs.ts";
import { errnoOf } from "../sys/errno.ts";

/**
 * The calls of `CgroupFs` whose results decide how a workload is launched. `watch` is none of them, and the variants of `read`
 * are not made there.
 */
export type CallName = Exclude<keyof CgroupFs, "watch" | "readIn" | "readOrCode">;

/** The result of a call; absent for nothing. */
export type CallResult = string | number | boolean | readonly string[];

/** One call of a `CgroupFs`, with what it returned, or the errno name of its error. */
export interface CgroupCall {
  readonly call: CallName;
  readonly path: string;
  /** The text of a write. */
  readonly data?: string;
  readonly result?: CallResult;
  readonly error?: string;
}

/** The calls of a launch, before and after the spawn. */
export interface LaunchCalls {
  readonly before: readonly CgroupCall[];
  readonly after: readonly CgroupCall[];
  /** The number of calls before this process entered its scope; absent where it entered none. */
  readonly scopedAfter?: number;
}

export type Outcome = Pick<CgroupCall, "result" | "error">;

/** Makes a call and returns its outcome. An error that is no errno has the name "unknown". */
export function makeCall(fs: CgroupFs, call: CallName, path: string, data?: string): Outcome {
  if (call === "read" && fs.readOrCode !== undefined) return fs.readOrCode(path);
  try {
    const result = call === "write" ? fs.write(path, data ?? "") : fs[call](path);
    return result === undefined ? {} : { result };
  } catch (error) {
    return { error: errnoOf(error) ?? "unknown" };
  }
}

/** Returns whether two calls had the same outcome. */
export function hasSameOutcome(a: Outcome, b: Outcome): boolean {
  if (a.error !== b.error) return false;
  if (typeof a.result !== "object" || typeof b.result !== "object") return a.result === b.result;
  const other = b.result;
  return a.result.length === other.length && a.result.every((each, index) => each === other[index]);
}
