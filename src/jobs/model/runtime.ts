import { bootMsOf } from "../../linux/proc/stat.ts";
import type { JobResult } from "./ending.ts";
import type { Job } from "./job.ts";

/** A duration between two recorded times. */
export interface Duration {
  readonly ms: number;
  /** `boot`: exact. `wall`: wrong by as much as the wall clock was set in between. */
  readonly clock: "boot" | "wall";
  /** `at-most`: the end was not observed. `at-least`: the process was alive at the end of the job. */
  readonly bound: "exact" | "at-most" | "at-least";
}

/** Returns how long the job's process ran, from its start, which may be before the job's. `undefined`: unknown. */
export function runtimeOf({ process }: Job, result: JobResult): Duration | undefined {
  // A start time of 0 ticks was never read.
  const start = process && process.startTicks > 0 ? bootMsOf(process.startTicks) : null;
  const duration = durationFrom(start, result);
  return duration && result.ending.kind === "detached" ? { ...duration, bound: "at-least" } : duration;
}

/** Returns how long the job was governed. `undefined`: unknown. */
export function governedTimeOf(result: JobResult): Duration | undefined {
  return durationFrom(result.startBootMs, result);
}

function durationFrom(startBootMs: number | null, result: JobResult): Duration | undefined {
  const { startMs, endMs, endBootMs, endedBeforeMs } = result;
  if (startMs === null) return undefined;
  const bound = endedBeforeMs === null ? "exact" : "at-most";
  // Negative only if the two times are of different time namespaces.
  if (startBootMs !== null && endBootMs !== null)
    return { ms: Math.max(0, endBootMs - startBootMs), clock: "boot", bound };
  const ms = (endedBeforeMs ?? endMs) - startMs;
  return ms < 0 ? undefined : { ms, clock: "wall", bound };
}
