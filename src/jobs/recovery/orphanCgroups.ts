import { basename, dirname } from "node:path";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { removeJobCgroup } from "../../linux/cgroup/makeJobCgroup.ts";
import { restoreJobCgroup, type StoredDirectory, storeJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import { readArguments } from "../../linux/proc/table.ts";
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
  for (const [jobId, directories] of groups) {
    if (!known.has(jobId)) adoptGroup(context, jobId, directories);
  }
  ledger.setNote(SCANNED, new Date(host.now()).toISOString());
}

function adoptGroup(context: Context, jobId: string, directories: StoredDirectory[]): void {
  const { host, ledger } = context;
  const cgroup = restoreJobCgroup(host.cgroupFs, context.hierarchies, directories);
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
    cgroup: storeJobCgroup(cgroup),
    logPath: null,
  });
  const job = withObserver(toRunning(starting, { process: root, startedMs: host.now() }), null);
  ledger.register(job);
  const detail = { because: "its cgroup was found, and the ledger did not know it" };
  ledger.addEvent(job, { atMs: host.now(), kind: "adopted", detail });
}

function findGroups(context: Context, prefix: string): Map<string, StoredDirectory[]> {
  const groups = new Map<string, StoredDirectory[]>();
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
      const directory = {
        hierarchy: hierarchy.key,
        path: `${parent}/${name}`,
        ...originOf(parent, name),
        enabled: [],
      };
      const jobId = name.slice(prefix.length);
      groups.set(jobId, [...(groups.get(jobId) ?? []), directory]);
    }
  }
  return groups;
}

function originOf(parent: string, name: string): Pick<StoredDirectory, "origin" | "tenant" | "launchGroup"> {
  if (isTenantGroup(basename(parent))) return { origin: dirname(parent), tenant: parent };
  if (basename(parent) === name) return { origin: dirname(parent), launchGroup: parent };
  return { origin: parent };
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
