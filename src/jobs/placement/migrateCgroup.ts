import { dirname } from "node:path";
import { addUsage } from "../../limits/usage.ts";
import { cgroupPathOf, readMembership } from "../../linux/cgroup/hierarchies.ts";
import { type JobCgroup, type JobDirectory, readFormerUsage } from "../../linux/cgroup/jobCgroup.ts";
import { completeJobCgroup, removeFormer } from "../../linux/cgroup/makeJobCgroup.ts";
import { listOccupants } from "../../linux/cgroup/members.ts";
import { type Place, planJobCgroup, storeJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import type { Context } from "../context.ts";
import { groupName, limitsInForce, type Tenant } from "../job.ts";
import type { RunningJob } from "../model/job.ts";
import { respectDisabled } from "./disabledControllers.ts";
import { jobCgroupOf } from "./jobCgroup.ts";
import { groupOf } from "./tenants.ts";

/**
 * Makes the directories that a living job's limits and tenant ask for and that it does not have yet. The cgroup that is
 * returned knows where its processes still are; moving them in comes after the limits, and then `leaveFormer`.
 * On record before it is done: what a governor leaves half-way, the next one finishes.
 */
export function migrateCgroup(
  context: Context,
  job: RunningJob,
  tenant: Tenant | null,
): { job: RunningJob; cgroup: JobCgroup } {
  const { host, ledger } = context;
  const current = jobCgroupOf(context, job);
  const planned = planAnew(context, job, current, tenant);
  const directories = planned.directories.map((directory) => succeed(directory, current));
  const unplanned = current.directories.filter(({ hierarchy }) => !isIn(directories, hierarchy.key));
  const cgroup = { ...planned, directories: [...directories, ...unplanned] };
  const lacking = directories.filter((directory) => !current.directories.includes(directory));
  if (lacking.length === 0) return { job, cgroup };
  const recorded = ledger.recordCgroup(job, storeJobCgroup(cgroup));
  const made: JobCgroup = { fs: host.cgroupFs, directories: lacking, unavailable: [] };
  completeJobCgroup(made);
  cgroup.unavailable.push(...made.unavailable);
  cgroup.directories = cgroup.directories.filter(
    (directory) => !lacking.includes(directory) || made.directories.includes(directory),
  );
  return { job: recorded, cgroup };
}

/**
 * Removes the directories that a regrouped job has left, and keeps what they counted. Does nothing as long as one of
 * them is in use: the next look at the job brings what is in it over.
 */
export function removeFormerCgroup(
  { host, ledger }: Context,
  job: RunningJob,
  cgroup: JobCgroup,
): RunningJob {
  const { directories } = cgroup;
  const former = directories.flatMap(({ formerly }) => formerly ?? []);
  const usage = readFormerUsage(cgroup);
  if (usage === undefined || former.some((path) => listOccupants(host.cgroupFs, path).length > 0)) return job;
  for (const directory of directories) {
    const { formerly, origin } = directory;
    if (formerly !== undefined && removeFormer(host.cgroupFs, formerly, origin)) delete directory.formerly;
  }
  const carriedUsage = job.carriedUsage === null ? usage : addUsage(job.carriedUsage, usage);
  return ledger.recordMigration(job, { carriedUsage, cgroup: storeJobCgroup(cgroup) });
}

/** In the hierarchies where the job has a directory, below where that lies; in the others where its process is. */
function planAnew(context: Context, job: RunningJob, current: JobCgroup, tenant: Tenant | null): JobCgroup {
  const { host, hierarchies, state } = context;
  const found = readMembership(host, job.process.pid);
  const membership = new Map(found === "gone" ? [] : found);
  for (const { hierarchy, origin } of current.directories) {
    membership.set(hierarchy.key, cgroupPathOf(hierarchy, origin));
  }
  const name = groupName(state.tag, job.jobId);
  const group = groupOf(state.tag, tenant);
  const unified = current.directories.find(({ hierarchy }) => hierarchy.version === 2);
  const cgroup = planJobCgroup(
    host.cgroupFs,
    hierarchies,
    membership,
    name,
    limitsInForce(job),
    group,
    placeOf(unified),
  );
  respectDisabled(context, cgroup);
  return cgroup;
}

/** A job stays where it was placed. */
function placeOf(directory: JobDirectory | undefined): Place {
  if (!directory || directory.placedAs === "child") return { placedAs: "child" };
  if (directory.placedAs === "in-place") return { placedAs: "in-place" };
  return { placedAs: "scope", scope: dirname(directory.path) };
}

/** The directory that a job has in a hierarchy when that is all it needs, else what takes its place. */
function succeed(planned: JobDirectory, { directories }: JobCgroup): JobDirectory {
  const known = directories.find(({ hierarchy }) => hierarchy.key === planned.hierarchy.key);
  if (!known) return planned;
  // One move at a time: what is left of the last one is brought over first.
  if (known.formerly !== undefined) return known;
  const isSame = known.path === planned.path || known.launchGroup === planned.path;
  if (isSame && planned.enabled.length === 0 && planned.enabledAbove.length === 0) return known;
  const enabled = [...new Set([...known.enabled, ...planned.enabled])];
  const enabledAbove = [...known.enabledAbove, ...planned.enabledAbove];
  const { heldBefore, countedBefore } = known;
  return {
    ...planned,
    enabled,
    enabledAbove,
    heldBefore,
    ...(countedBefore === undefined ? {} : { countedBefore }),
    ...(isSame ? {} : { formerly: known.path }),
  };
}

function isIn(directories: JobDirectory[], key: string): boolean {
  return directories.some(({ hierarchy }) => hierarchy.key === key);
}
