import { oneLine } from "../sys/visibleText.ts";
import { factsOfEnding, type JobResult } from "./model/ending.ts";
import type { Job } from "./model/job.ts";
import { outcomeOf } from "./model/outcome.ts";
import { type Duration, runtimeOf } from "./model/runtime.ts";

/**
 * Returns the line that operators search for when a job ends.
 * `JOB transcode-001 | outcome=succeeded | sla=COMPLIANT | reason=completed_successfully | runtime=12s | exit=0 | pid=4026`
 * `outcome` is about the workload, `sla` and its `reason` are about the platform.
 */
export function summaryLine(job: Job, result: JobResult): string {
  // One after the other: this is the end of a launch, and the first use of a method of arrays takes 0.05 ms.
  const parts = [
    `JOB ${job.jobId}`,
    `outcome=${outcomeOf(result.ending)}`,
    `sla=${result.slaCompliant ? "COMPLIANT" : "VIOLATION"}`,
    `reason=${result.slaReason}`,
    `runtime=${summaryRuntime(job, result)}`,
    `exit=${exitText(result)}`,
    `pid=${job.process?.pid ?? "none"}`,
  ];
  // The id of a job whose cgroup was found comes from the name of a directory.
  for (let index = 0; index < parts.length; index++) parts[index] = oneLine(parts[index] as string);
  return parts.join(" | ");
}

/** Returns a warning about processes that outlive their job, and keep its cgroup and limits. */
export function survivorsLine({ jobId }: Job, survivors: number[]): string {
  return `job ${jobId} ended and left processes running: PID ${survivors.join(", ")}; their limits stay in force`;
}

/** Returns `0`, `SIGSEGV`, or `unknown`: never a number without evidence. */
export function exitText({ ending }: JobResult): string {
  const { exitCode, signal } = factsOfEnding(ending);
  return signal ?? exitCode?.toString() ?? "unknown";
}

/** Returns the mark before a duration: `≤` and `≥` for a bound, `~` for one that the wall clock measured. */
export function markOf({ bound, clock }: Duration): string {
  const mark = { exact: "", "at-most": "≤", "at-least": "≥" }[bound];
  return clock === "wall" ? `${mark}~` : mark;
}

/** Returns whole seconds, as scripts for the older system expect, with one decimal below ten. */
function summaryRuntime(job: Job, result: JobResult): string {
  if (result.ending.kind === "never-started") return "0s";
  const runtime = runtimeOf(job, result);
  if (runtime === undefined) return "unknown";
  const seconds = runtime.ms / 1000;
  return `${markOf(runtime)}${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)}s`;
}
