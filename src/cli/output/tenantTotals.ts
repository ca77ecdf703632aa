import type { Context } from "../../jobs/context.ts";
import type { Job } from "../../jobs/model/job.ts";
import { isInForce } from "../../limits/outcome.ts";
import { warn } from "./messages.ts";

/** Warns where a policy's total for the tenant of a job that was governed by hand does not include the job. */
export function warnOfMissingTotal({ ledger }: Context, job: Job): void {
  const own = tenantPaths(job);
  const others = ledger.openJobs().filter(({ key, tenant }) => key !== job.key && tenant === job.tenant);
  const totals = others.flatMap((other) =>
    tenantPaths(other).some((path) => own.includes(path))
      ? []
      : other.outcomes.filter((outcome) => outcome.of === "tenant" && isInForce(outcome)),
  );
  if (totals.length === 0) return;
  const limits = [...new Set(totals.map(({ limit }) => limit))].join(", ");
  warn(
    `the total of tenant ${job.tenant} (${limits}) does not include job ${job.jobId}: it is for jobs that the policy governs`,
  );
}

function tenantPaths({ changes }: Job): string[] {
  return changes.flatMap((change) =>
    change.kind === "cgroup-created" && change.role === "tenant" ? [change.path] : [],
  );
}
