import { directoryOf, readMembership } from "../../linux/cgroup/hierarchies.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { visible } from "../../linux/proc/table.ts";
import type { Context } from "../context.ts";
import { bootIdOf, type OpenJob } from "../model/job.ts";

/**
 * Returns the open job that governs a process: its main process, or a member of its cgroup. The main process may have
 * ended, with an end that is not recorded yet.
 */
export function findGoverningJob(context: Context, pid: number): OpenJob | undefined {
  const { host, ledger, bootId } = context;
  const jobs = ledger.openJobs().filter((job) => bootIdOf(job) === bootId);
  const stat = visible(() => readStat(host, pid));
  const main = jobs.find(
    ({ process }) => process?.pid === pid && (stat === undefined || stat.startTicks === process.startTicks),
  );
  return main ?? (stat === undefined ? undefined : findInnermost(context, jobs, pid));
}

/** A workload can contain the job of another one. The innermost cgroup around the process decides. */
function findInnermost({ host, hierarchies }: Context, jobs: OpenJob[], pid: number): OpenJob | undefined {
  const membership = visible(() => readMembership(host, pid));
  if (membership === undefined) return undefined;
  let innermost: { job: OpenJob; path: string } | undefined;
  for (const job of jobs) {
    for (const { hierarchy: key, path } of job.cgroup) {
      const hierarchy = hierarchies.find((candidate) => candidate.key === key);
      const place = hierarchy && directoryOf(hierarchy, membership.get(key) ?? "");
      if (place !== path && !place?.startsWith(`${path}/`)) continue;
      if (innermost === undefined || path.length > innermost.path.length) innermost = { job, path };
    }
  }
  return innermost?.job;
}
