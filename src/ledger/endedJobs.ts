import type { JobResult } from "../jobs/model/ending.ts";
import type { Row } from "./database.ts";

/** The ended jobs that a reader asks for. An absent field filters nothing. */
export interface HistoryFilter {
  readonly jobId?: string | undefined;
  readonly tenant?: string | undefined;
  /** Ended at this time or later. An end that was not observed counts at the time when it was recorded. */
  readonly sinceMs?: number | undefined;
  /** Ended before this time. */
  readonly untilMs?: number | undefined;
  /** The workload failed or was killed. */
  readonly onlyFailed?: boolean | undefined;
  readonly onlyViolations?: boolean | undefined;
  /** Ended before this job, in the order of `history`. */
  readonly before?: Pick<JobResult, "key" | "endMs"> | undefined;
}

/** The outcomes `failed` and `killed`. The first term is that of the index results_not_succeeded. */
const FAILED =
  "exit_code IS NOT 0 AND (exit_code IS NOT NULL OR signal IS NOT NULL OR ending = 'never_started')";

/** Returns the tables and conditions of a SELECT of ended jobs. */
export function endedJobs(
  filter: HistoryFilter,
  what?: "with their jobs",
): { from: string; parameters: Row } {
  const { jobId, tenant, sinceMs, untilMs, onlyFailed, onlyViolations, before } = filter;
  const parameters: Row = {};
  const conditions: string[] = [];
  const compare = (condition: string, parameter: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    conditions.push(`${condition} $${parameter}`);
    parameters[parameter] = value;
  };
  compare("job_id =", "jobId", jobId);
  compare("tenant =", "tenant", tenant);
  compare("end_ms >=", "sinceMs", sinceMs);
  compare("end_ms <", "untilMs", untilMs);
  if (before !== undefined) {
    // The first term is the range of an index.
    conditions.push("end_ms <= $beforeMs AND (end_ms < $beforeMs OR key < $beforeKey)");
    Object.assign(parameters, { beforeMs: before.endMs, beforeKey: before.key });
  }
  if (onlyFailed) conditions.push(FAILED);
  if (onlyViolations) conditions.push("sla_compliant = 0");
  // SQLite reads the first table of a CROSS JOIN in the outer loop: here the one whose index finds fewer rows.
  const hasFewJobs = jobId !== undefined || (tenant !== undefined && sinceMs === undefined);
  const both = hasFewJobs ? "jobs CROSS JOIN results USING (key)" : "results CROSS JOIN jobs USING (key)";
  const mustJoin = what !== undefined || jobId !== undefined || tenant !== undefined;
  return {
    from: `${mustJoin ? both : "results"} WHERE ${["TRUE", ...conditions].join(" AND ")}`,
    parameters,
  };
}
