import { basename, dirname } from "node:path";
import { removeJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import { findJobCgroup } from "../../linux/cgroup/findJobCgroup.ts";
import { type JobLocation, listMembers } from "../../linux/cgroup/jobCgroup.ts";
import type { Change } from "../../linux/change.ts";
import { readArguments } from "../../linux/proc/table.ts";
import { journalOf } from "../changes.ts";
import type { Context } from "../context.ts";
import { groupName, isTenantGroup, newJob } from "../job.ts";
import { toRunning, withObserver } from "../model/job.ts";
import { isOwnScope } from "../placement/jobScope.ts";
import { findMainProcess } from "./mainProcess.ts";

const SCOPE = ".scope";
const SCANNED = "orphan_groups_scanned";

/**
 * Looks once in the life of a ledger for cgroups of its jobs that it does not know: a ledger that was set aside
 * damaged, or deleted, knew them. What lives in them is taken on record again, empty ones are removed.
 */
export function adoptOrphanGroups(context: Context): void {
  const { ledger, host, state } = context;
  if (ledger.note(SCANNED) !== undefined) return;
  const groups = findGroups(context, groupName(state.tag, ""));
  const known = new Set(ledger.jobsToCleanUp().map(({ jobId }) => jobId));
  for (const [jobId, found] of groups) {
    if (!known.has(jobId)) adoptGroup(context, jobId, found);
  }
  ledger.setNote(SCANNED, new Date(host.now()).toISOString());
}

function adoptGroup(context: Context, jobId: string, found: FoundCgroup): void {
  const { host, ledger } = context;
  const cgroup = findJobCgroup(host.cgroupFs, context.hierarchies, found);
  const root = findMainProcess(context, listMembers(cgroup));
  if (!root) {
    // Without the record it may as well be a job that another ffrtmp is starting just now.
    if (ledger.unreadableBecause === undefined) removeJobCgroup(cgroup);
    return;
  }
  const spec = { jobId, limits: {}, intent: null, slaEligible: false, tenant: null, labels: {} };
  const starting = newJob(context, "run", spec, {
    process: null,
    command: readArguments(host, root.pid),
    cwd: null,
    uid: null,
    ...journalOf(cgroup),
    logPath: null,
  });
  const job = withObserver(toRunning(starting, { process: root, startedMs: host.now() }), null);
  ledger.register(job);
  const detail = { because: "its cgroup was found, and the ledger did not know it" };
  ledger.addEvent(job, { atMs: host.now(), kind: "adopted", detail });
}

/** The cgroups of one job, and the changes that created them. */
interface FoundCgroup {
  cgroup: JobLocation[];
  changes: Change[];
}

function findGroups(context: Context, prefix: string): Map<string, FoundCgroup> {
  const groups = new Map<string, FoundCgroup>();
  for (const hierarchy of context.hierarchies) {
    for (const { parent, name } of walk(context, hierarchy.mountPoint)) {
      if (!name.startsWith(prefix) || isTenantGroup(name)) continue;
      // The job's own cgroup lies in its scope, and has its name without the ending.
      if (
        isOwnScope(name) &&
        context.host.cgroupFs.exists(`${parent}/${name}/${name.slice(0, -SCOPE.length)}`)
      )
        continue;
      // So it does in the group that it was launched in, which has the same name.
      if (context.host.cgroupFs.exists(`${parent}/${name}/${name}`)) continue;
      const jobId = name.slice(prefix.length);
      const found = groups.get(jobId) ?? { cgroup: [], changes: [] };
      found.cgroup.push({ hierarchy: hierarchy.key, path: `${parent}/${name}` });
      found.changes.push(...changesBehind(hierarchy.key, parent, name));
      groups.set(jobId, found);
    }
  }
  return groups;
}

/** The changes that created a cgroup, by its name and the names of those around it. */
function changesBehind(hierarchy: string, parent: string, name: string): Change[] {
  const path = `${parent}/${name}`;
  const around = isTenantGroup(basename(parent))
    ? "tenant"
    : basename(parent) === name
      ? "wrapper-slot"
      : undefined;
  const from = around === undefined ? parent : dirname(parent);
  return [
    ...(around === undefined
      ? []
      : [{ kind: "cgroup-created", hierarchy, path: parent, role: around } as const]),
    { kind: "cgroup-created", hierarchy, path, role: "job" },
    { kind: "processes-moved", hierarchy, from, to: path },
  ];
}

function* walk(context: Context, parent: string): Generator<{ parent: string; name: string }> {
  let names: string[];
  try {
    names = context.host.cgroupFs.children(parent);
  } catch {
    // Removed while we looked, or not for us to read.
    return;
  }
  for (const name of names) {
    yield { parent, name };
    yield* walk(context, `${parent}/${name}`);
  }
}
