import type { Ending } from "./ending.ts";

/**
 * The outcome of a job's workload, whatever ffrtmp did. `succeeded`: exit code 0. `failed`: another exit code, or the
 * workload could not be started. `killed`: a signal ended it, of the kernel or of a process. `unknown`: its end or its
 * exit status was not observed, or it was alive when it was detached.
 */
export const JOB_OUTCOMES = ["succeeded", "failed", "killed", "unknown"] as const;
export type JobOutcome = (typeof JOB_OUTCOMES)[number];

export function outcomeOf(ending: Ending): JobOutcome {
  switch (ending.kind) {
    case "exited":
      return ending.code === 0 ? "succeeded" : "failed";
    case "signaled":
      return "killed";
    case "never-started":
      return "failed";
    case "detached":
    case "exit-unknown":
    case "unobserved":
      return "unknown";
  }
}
