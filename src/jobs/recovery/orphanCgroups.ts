import { basename, dirname } from "node:path";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { removeJobCgroup } from "../../linux/cgroup/makeJobCgroup.ts";
import { restoreJobCgroup, type StoredDirectory, storeJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import { readArguments } from "../../linux/proc/table.ts";
import type { Governor } from "../context.ts";
import { groupName, isTenantGroup, newJob } from "../job.ts";
import { isOwnScope } from "../placement/jobScope.ts";
import { oldestLeader } from "./mainProcess.ts";

const SCOPE = ".scope";
const SCANNED = "orphan_groups_scanned";

/**
 * Looks once in the life of a ledger for cgroups of its jobs that it does not know: a ledger that was set aside
 * damaged, or deleted, knew them. What lives in them is taken on record again, empty ones are removed.
 */
export function adoptOrphanGroups(governor: Governor): void {
  const { ledger, host, state } = governor;
  if (ledger.note(SCANNED) !== undefined) return;
  const groups = findGroups(governor, groupName(state.tag, ""));
  const known = new Set(ledger.unreleasedJobs().map(({ jobId }) => jobId));
  for (const [jobId, directories] of groups) {
    if (!known.has(jobId)) adoptGroup(governor, jobId, directories);
  }
  ledger.setNote(SCANNED, new Date(host.now()).toISOString());
}

function adoptGroup(governor: Governor, jobId: string, directories: StoredDirectory[]): void {
  const { host, ledger } = governor;
  const cgroup = restoreJobCgroup(host.cgroupFs, governor.hierarchies, directories);
  const root = oldestLeader(governor, listMembers(cgroup));
  if (!root) {
    // Without the record it may as well be a job that another ffrtmp is starting just now.
    if (ledger.unreadableBecause === undefined) removeJobCgroup(cgroup);
    return;
  }
  const wishes = { jobId, limits: {}, intent: null, slaEligible: false, tenant: null, labels: {} };
  const job = newJob(governor, "run", wishes, readArguments(host, root.pid));
  Object.assign(job, {
    state: "running",
    pid: root.pid,
    startTicks: root.startTicks,
    startedMs: host.now(),
    observer: null,
    cgroup: storeJobCgroup(cgroup),
  });
  ledger.begin(job);
  ledger.addEvent(job, host.now(), "adopted", {
    because: "its cgroup was found, and the ledger did not know it",
  });
}

function findGroups(governor: Governor, prefix: string): Map<string, StoredDirectory[]> {
  const groups = new Map<string, StoredDirectory[]>();
  for (const hierarchy of governor.hierarchies) {
    for (const { parent, name } of walk(governor, hierarchy.mountPoint)) {
      if (!name.startsWith(prefix) || isTenantGroup(name)) continue;
      // The job's own cgroup lies in its scope, and has its name without the ending.
      if (
        isOwnScope(name) &&
        governor.host.cgroupFs.exists(`${parent}/${name}/${name.slice(0, -SCOPE.length)}`)
      )
        continue;
      // So it does in the group that it was launched in, which has the same name.
      if (governor.host.cgroupFs.exists(`${parent}/${name}/${name}`)) continue;
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

function* walk(governor: Governor, parent: string): Generator<{ parent: string; name: string }> {
  let names: string[];
  try {
    names = governor.host.cgroupFs.children(parent);
  } catch {
    // Removed while we looked, or not for us to read.
    return;
  }
  for (const name of names) {
    yield { parent, name };
    yield* walk(governor, `${parent}/${name}`);
  }
}
