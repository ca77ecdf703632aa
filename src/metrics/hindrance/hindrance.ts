import type { Verdict } from "../../jobs/model/hindered.ts";
import type { Evidence } from "./judge.ts";

/** The cause that holds a job back, its begin, and the evidence for it. */
export interface Hindrance {
  readonly verdict: Verdict;
  /** When it began: wall clock, ms. It is said 30 s later. */
  readonly sinceMs: number;
  /** The time from its begin to the last sample that showed it. */
  readonly forMs: number;
  /** The job is live: it falls behind. A job that is not live only takes longer. */
  readonly isLive: boolean;
  /** CPUs that a live job needs. `null`: not known, or it is not for lack of CPU time. */
  readonly neededCores: number | null;
  /** The limit of ours that holds it back. `null`: none does. */
  readonly limit: BindingLimit | null;
  /** The measurements of the last sample that showed it. */
  readonly evidence: Evidence;
}

export interface BindingLimit {
  readonly name: "cpu.max" | "memory.high" | "memory.max" | "io.max";
  /** `tenant`: the total of all jobs of its tenant. `governor`: the headroom governor of `watch` has set it. */
  readonly of: "job" | "tenant" | "governor";
}

/** Returns `cpu.max`, `tenant:cpu.max`, `governor:cpu.max`, … */
export function limitText(limit: BindingLimit | null): string | null {
  if (limit === null) return null;
  return limit.of === "job" ? limit.name : `${limit.of}:${limit.name}`;
}
