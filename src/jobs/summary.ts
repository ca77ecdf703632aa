import { oneLine } from "../sys/visibleText.ts";
import { factsOfEnding, type JobResult } from "./model/ending.ts";
import type { Job } from "./model/job.ts";

/**
 * Returns the line that operators search for when a job ends.
 * `JOB transcode-001 | sla=COMPLIANT | reason=completed_successfully | runtime=12s | exit=0 | pid=4026`
 */
export function summaryLine(job: Job, result: JobResult): string {
  const parts = [
    `JOB ${job.jobId}`,
    `sla=${result.slaCompliant ? "COMPLIANT" : "VIOLATION"}`,
    `reason=${result.slaReason}`,
    `runtime=${formatSeconds(result)}`,
    `exit=${exitText(result)}`,
    `pid=${job.process?.pid ?? "none"}`,
  ];
  // The id of a job whose cgroup was found comes from the name of a directory.
  return parts.map(oneLine).join(" | ");
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

/** Returns whole seconds, as scripts for the older system expect, with one decimal below ten. */
function formatSeconds({ startMs, endMs }: JobResult): string {
  if (startMs === null) return "0s";
  const seconds = (endMs - startMs) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)}s` : `${Math.round(seconds)}s`;
}
