import type { LimitResult, Snapshot } from "./data.ts";
import { DataTable, Empty } from "./parts.tsx";
import { jobPath } from "./route.ts";
import { isInForce, limitName, limitText } from "./words.ts";

interface LimitRow {
  readonly limit: LimitResult;
  readonly jobId?: string;
}

/** Limits with their outcomes, and with the job of each where the rows have one. */
export function LimitTable({ label, rows }: { label: string; rows: readonly LimitRow[] }) {
  const hasJobs = rows.some(({ jobId }) => jobId !== undefined);
  return (
    <DataTable
      label={label}
      columns={[
        ...(hasJobs ? [{ name: "Job" }] : []),
        ...["Limit", "Outcome", "Asked for", "In force", "Why"].map((name) => ({ name })),
      ]}
      rows={rows.map(({ limit, jobId }) => ({
        key: `${jobId} ${limit.of} ${limit.limit}`,
        cells: [
          ...(jobId === undefined ? [] : [<a href={jobPath(jobId)}>{jobId}</a>]),
          <code>{limitName(limit)}</code>,
          <span class={limit.outcome === "applied" ? "good" : "warn"}>{limit.outcome}</span>,
          limitText(limit, limit.wanted),
          limitText(limit, limit.actual),
          [limit.because, limit.held_by && `held by ${limit.held_by}`].filter(Boolean).join("; "),
        ],
      }))}
    />
  );
}

/** Limits of running jobs that the kernel does not have. */
export function refusedLimits({ jobs }: Snapshot): LimitRow[] {
  return limitsOf(jobs, (limit) => !isInForce(limit));
}

function limitsOf(jobs: Snapshot["jobs"], isShown: (limit: LimitResult) => boolean): LimitRow[] {
  return jobs.flatMap(({ job_id: jobId, limits }) =>
    limits.filter(isShown).map((limit) => ({ limit, jobId })),
  );
}

export function RefusedLimits({ snapshot }: { snapshot: Snapshot }) {
  const partial = limitsOf(snapshot.jobs, ({ outcome }) => outcome === "partial");
  const rows = [...refusedLimits(snapshot), ...partial];
  if (rows.length === 0)
    return <Empty>All limits of the running jobs are in force as they were asked for.</Empty>;
  return <LimitTable label="Limits that are refused or only partly in force" rows={rows} />;
}
