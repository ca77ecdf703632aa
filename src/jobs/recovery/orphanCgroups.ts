import { basename, dirname } from "node:path";
import { removeJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import { findJobCgroup } from "../../linux/cgroup/findJobCgroup.ts";
import { type JobLocation, listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { isOwnedByUs } from "../../linux/cgroup/trust.ts";
import type { CgroupFs } from "../../linux/cgroupFs.ts";
import type { Change } from "../../linux/change.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { hasEnded, readStat } from "../../linux/proc/stat.ts";
import { readCommandLine } from "../../linux/proc/table.ts";
import { journalOf } from "../changes.ts";
import type { Context } from "../context.ts";
import { isGroupName, isTenantGroup, newJob } from "../job.ts";
import { MAX_COMMAND_BYTES } from "../model/command.ts";
import { toRunning } from "../model/job.ts";
import { groupName } from "../model/jobId.ts";
import { isOwnScope, unitsHierarchy } from "../placement/jobScope.ts";

const SCANNED = "orphan_groups_scanned";

/**
 * Scans once for each ledger for cgroups of its jobs that are not in it: an earlier ledger, which was set aside as damaged
 * or deleted, had those jobs. Records a job for a cgroup with processes, and removes an empty one.
 */
export function adoptOrphanGroups(context: Context): void {
  const { ledger, host } = context;
  if (ledger.note(SCANNED) !== undefined) return;
  const groups = findGroups(context);
  const known = new Set(ledger.jobsToCleanUp().map(({ jobId }) => jobId));
  for (const [jobId, found] of groups) {
    if (!known.has(jobId)) adoptGroup(context, jobId, found);
  }
  ledger.setNote(SCANNED, new Date(host.now()).toISOString());
}

function adoptGroup(context: Context, jobId: string, found: JobLocation[]): void {
  const { host, ledger } = context;
  const changes = found.flatMap((location) => changesBehind(context, location));
  const cgroup = findJobCgroup(host.cgroupFs, context.hierarchies, { cgroup: found, changes });
  const root = findMainProcess(context, listMembers(cgroup));
  if (!root) {
    // Without the ledger's file, the cgroup may be of a job that another ffrtmp is starting.
    if (ledger.unreadableBecause === undefined && !ledger.isMissing) removeJobCgroup(cgroup);
    return;
  }
  const { words, isCut } = readCommandLine(host, root.pid, MAX_COMMAND_BYTES);
  const spec = { jobId, limits: {}, intent: null, slaEligible: false, tenant: null, labels: {} };
  const starting = newJob(context, "run", spec, {
    process: null,
    command: words,
    commandCut: isCut,
    cwd: null,
    uid: null,
    ...journalOf(cgroup),
    logPath: null,
  });
  const started = { startedMs: host.now(), startedBootMs: host.bootNow() };
  const job = { ...toRunning(starting, { process: root, ...started }), observer: null };
  ledger.register(job);
  const detail = { because: "its cgroup was found, and the ledger did not know it" };
  ledger.addEvent(job, { atMs: host.now(), kind: "adopted", detail });
}

/**
 * Returns the first session leader among processes: `run` starts each workload in its own session. Returns the first
 * process where the leader has ended.
 */
export function findMainProcess({ host, bootId }: Context, pids: number[]): ProcessIdentity | undefined {
  const stats = pids
    .map((pid) => readStat(host, pid))
    .filter((stat) => stat !== "gone")
    .filter((stat) => !hasEnded(stat))
    .sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
  const main = stats.find(({ pid, session }) => session === pid) ?? stats[0];
  return main && { bootId, pid: main.pid, startTicks: main.startTicks };
}

/** Finds the cgroups of each job by its id. */
function findGroups(context: Context): Map<string, JobLocation[]> {
  const prefix = groupName(context.state.tag, "");
  const own = listJobCgroups(context).filter(
    ({ path }) =>
      basename(path).startsWith(prefix) &&
      // Another user can make a cgroup of this name in a subtree that is delegated to him.
      isOwnedByUs(context.host.cgroupFs, path),
  );
  return Map.groupBy(own, (location) => jobIdOf(context, location, prefix));
}

/** A scope in which the job's cgroup is not, or not any more, has the processes of the job itself. */
function jobIdOf(context: Context, { hierarchy, path }: JobLocation, prefix: string): string {
  const id = basename(path).slice(prefix.length);
  const isUnit = hierarchy === unitsHierarchy(context)?.key && isOwnScope(basename(path));
  return isUnit ? id.slice(0, -".scope".length) : id;
}

/** Lists every cgroup that has the name of a job's, of any state directory. */
export function listJobCgroups({
  host: { cgroupFs },
  hierarchies,
}: Pick<Context, "host" | "hierarchies">): JobLocation[] {
  const all = hierarchies.flatMap(({ key: hierarchy, mountPoint }) =>
    listCgroups(cgroupFs, mountPoint).map((path) => ({ hierarchy, path })),
  );
  return all.filter(({ path }) => {
    const name = basename(path);
    if (!isGroupName(name) || isTenantGroup(name)) return false;
    // The job's own cgroup is in the wrapper's or the carrier, which have the same name, or in its scope.
    return ![name, name.replace(/\.scope$/, "")].some((inner) => cgroupFs.exists(`${path}/${inner}`));
  });
}

/** Returns the changes that created a cgroup, by its name and the name of its parent. */
function changesBehind({ hierarchies }: Context, { hierarchy, path }: JobLocation): Change[] {
  const parent = dirname(path);
  const isUnified = hierarchies.some(({ key, version }) => key === hierarchy && version === 2);
  const around = basename(parent) === basename(path) ? (isUnified ? "carrier" : "wrapper-slot") : undefined;
  const role = isTenantGroup(basename(parent)) ? "tenant" : around;
  return [
    ...(role ? [{ kind: "cgroup-created", hierarchy, path: parent, role } as const] : []),
    { kind: "cgroup-created", hierarchy, path, role: "job" },
    { kind: "processes-moved", hierarchy, from: role ? dirname(parent) : parent, to: path },
  ];
}

/** Lists all cgroups below one, leaving out those that are removed meanwhile or that this user may not read. */
function listCgroups(fs: CgroupFs, parent: string): string[] {
  try {
    const paths = fs.children(parent).map((name) => `${parent}/${name}`);
    return paths.flatMap((path) => [path, ...listCgroups(fs, path)]);
  } catch {
    return [];
  }
}
