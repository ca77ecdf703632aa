import { addUsage, withUnknown } from "../../limits/usage.ts";
import { isAskedFor } from "../../linux/cgroup/backend.ts";
import { removeJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import { hasOnlyCompanions } from "../../linux/cgroup/companion.ts";
import type { JobCgroup, JobDirectory } from "../../linux/cgroup/jobCgroup.ts";
import { readUsage } from "../../linux/cgroup/jobUsage.ts";
import { isGate } from "../../linux/change.ts";
import { withCgroup, withGatesNow } from "../changes.ts";
import type { Context } from "../context.ts";
import { limitsInForce } from "../job.ts";
import type { RunningJob } from "../model/job.ts";
import { moveBackToOrigin, moveTreeIntoCgroup } from "./moveTree.ts";

/**
 * Moves a job out of its cgroup in the `cpu` hierarchy of v1 when no limit needs that any more: it would compete there as one
 * thread, see planJobCgroup. Where a process cannot leave, the job stays in it. Returns the job as it is recorded.
 */
export function leaveCpuCgroup(context: Context, job: RunningJob, cgroup: JobCgroup): RunningJob {
  const { host, ledger } = context;
  const directory = cgroup.directories.find((each) => isNeedless(job, cgroup, each));
  if (directory === undefined || host.cgroupFs.children(directory.path).length > 0) return job;
  const isOwn = (change: JobCgroup["changes"][number]): boolean =>
    change.hierarchy === directory.hierarchy.key && !isGate(change);
  const alone: JobCgroup = { ...cgroup, directories: [directory], changes: cgroup.changes.filter(isOwn) };
  if (moveBackToOrigin(host, alone).length > 0) {
    moveTreeIntoCgroup(host, alone, job.process);
    return job;
  }
  const before = readUsage(cgroup);
  if (removeJobCgroup(alone).length > 0) return job;
  cgroup.directories = cgroup.directories.filter((each) => each !== directory);
  const after = readUsage(cgroup);
  cgroup.changes = cgroup.changes.filter((change) => !isOwn(change));
  // Where `cpu` and `cpuacct` were one, the companion can be younger than they.
  const lost = (field: "cpuUserUsec" | "cpuSystemUsec"): number =>
    Math.max(0, (before[field] ?? 0) - (after[field] ?? 0));
  const nothing = withUnknown(null, []);
  const carriedUsage = addUsage(job.carriedUsage ?? nothing, {
    ...nothing,
    cpuUserUsec: lost("cpuUserUsec"),
    cpuSystemUsec: lost("cpuSystemUsec"),
    // A quota that is set later counts on from here.
    throttledUsec: before.throttledUsec,
  });
  return ledger.recordMigration(job, { carriedUsage, ...withCgroup(withGatesNow(context, job), cgroup) });
}

function isNeedless(job: RunningJob, { directories }: JobCgroup, directory: JobDirectory): boolean {
  const { hierarchy, controllers, tenant, formerly } = directory;
  // With its tenant's cgroup it counts toward the total.
  if (hierarchy.version !== 1 || tenant !== undefined || formerly !== undefined) return false;
  const isCounted = directories.some((each) => hasOnlyCompanions(each.hierarchy));
  return (
    controllers.some(({ name }) => name === "cpu") &&
    controllers.every(({ name }) => name === "cpu" || (name === "cpuacct" && isCounted)) &&
    controllers.every((each) => !isAskedFor(each, limitsInForce(job)))
  );
}
