import type { CgroupFs } from "../cgroupFs.ts";
import { type CgroupRequest, type DirectoryPlan, isAskedFor } from "./backend.ts";
import { backendOf, controllersOf } from "./backends.ts";
import { planCompanion } from "./companion.ts";
import type { CgroupController, Unavailable } from "./controller.ts";
import { readText } from "./file.ts";
import { directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import type { JobCgroup } from "./jobCgroup.ts";
import { isForeign } from "./trust.ts";

/**
 * Plans a job's cgroup: in each hierarchy a child of the cgroup that `membership` names, so that every limit above still
 * applies, or a grandchild, in the tenant's cgroup there; on v2 as `place` says. The companion, which only measures, is the
 * last one: a process is limited before it enters that. Writes nothing.
 *
 * Without a limit on CPU time a job gets no cgroup that competes for it: the scheduler treats a cgroup as one thread, however
 * many threads run in it, and weighs it as a whole. The job's threads stay among those beside them, as before.
 */
export function planJobCgroup(
  fs: CgroupFs,
  hierarchies: readonly Hierarchy[],
  membership: Membership,
  request: CgroupRequest,
): JobCgroup {
  const job: JobCgroup = { fs, directories: [], changes: [], unavailable: listNotGiven(fs, hierarchies) };
  const companion = planCompanion(fs, hierarchies, membership, request);
  for (const hierarchy of hierarchies) {
    const isNeeded = (controller: CgroupController): boolean =>
      !controller.isOnDemand || isAskedFor(controller, request.limits, request.tenant?.limits);
    const needed = controllersOf(hierarchy).filter(isNeeded);
    // `cpu,cpuacct`: the companion counts CPU time without a cgroup that competes for it.
    const onlyCounts =
      needed.every(({ name }) => name === "cpuacct") && hierarchy.controllers.includes("cpu");
    const isDispensable = needed.length === 0 || (onlyCounts && companion !== undefined);
    const isInTotal = isDispensable && hasTenantGroup(fs, hierarchy, membership, request);
    if (isDispensable && !isInTotal) continue;
    const controllers = isInTotal ? controllersOf(hierarchy) : needed;
    const origin = findOrigin(fs, hierarchy, membership);
    if ("because" in origin) {
      job.unavailable.push(...controllers.map(({ name }) => ({ controller: name, ...origin })));
      continue;
    }
    const site = { fs, hierarchy, origin: origin.path, controllers };
    add(job, backendOf(hierarchy).plan(site, withOwnTenant(fs, origin.path, request)));
  }
  if (companion && job.directories.length > 0) add(job, companion);
  return job;
}

/** The tenant's cgroup exists already: it has a total that the job counts toward, whether the caller knows it or not. */
function hasTenantGroup(
  fs: CgroupFs,
  hierarchy: Hierarchy,
  membership: Membership,
  { tenant }: CgroupRequest,
): boolean {
  const path = tenant && directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
  return path !== undefined && fs.exists(`${path}/${tenant?.name}`);
}

function add(job: JobCgroup, planned: DirectoryPlan): void {
  job.unavailable.push(...planned.unavailable);
  job.directories.push(...planned.directories);
  job.changes.push(...planned.changes);
}

/**
 * Leaves out the tenant's cgroup where another user has made one of that name, in a subtree that is delegated to him: he
 * could change its limits. The job's own limits apply there, and the outcome of the total says that it does not.
 */
function withOwnTenant(fs: CgroupFs, origin: string, request: CgroupRequest): CgroupRequest {
  const { tenant } = request;
  if (tenant === undefined || !isForeign(fs, `${origin}/${tenant.name}`)) return request;
  return { ...request, tenant: undefined };
}

type Origin = { path: string } | { because: string };

function findOrigin(fs: CgroupFs, hierarchy: Hierarchy, membership: Membership): Origin {
  const cgroupPath = membership.get(hierarchy.key);
  const path = cgroupPath === undefined ? undefined : directoryOf(hierarchy, cgroupPath);
  if (hierarchy.isReadOnly) return { because: `${hierarchy.mountPoint} is mounted read-only here` };
  if (path === undefined) return { because: whyNotVisible(hierarchy, cgroupPath) };
  // Controllers that share one v1 hierarchy move together: a reason against one of them counts for all.
  for (const controller of controllersOf(hierarchy)) {
    const because = controller.unavailable?.({ fs, hierarchy, path });
    if (because !== undefined) return { because };
  }
  return { path };
}

/** Returns the controllers that a v2 tree was not given, where it begins below the root of all cgroups, as in containers. */
function listNotGiven(fs: CgroupFs, hierarchies: readonly Hierarchy[]): Unavailable[] {
  const unified = hierarchies.find(({ version }) => version === 2);
  // Only the root of all cgroups has no type.
  if (!unified || readText(fs, `${unified.mountPoint}/cgroup.type`) === undefined) return [];
  const because = `it is not among the controllers of ${unified.mountPoint} (cgroup.controllers): the cgroup above does not give it`;
  return backendOf(unified)
    .controllers.filter(({ name }) => !unified.controllers.includes(name))
    .map(({ name }) => ({ controller: name, because }));
}

function whyNotVisible({ key, mountPoint, mountRoot }: Hierarchy, cgroupPath: string | undefined): string {
  if (cgroupPath === undefined) return `it has no cgroup in the hierarchy at ${mountPoint}`;
  const name = `its ${key || "v2"} cgroup ${cgroupPath}`;
  if (mountRoot.startsWith("/.."))
    return `${name} cannot be found below ${mountPoint}, which was mounted outside of this cgroup namespace`;
  if (cgroupPath.startsWith("/..")) return `${name} is outside of this cgroup namespace`;
  return `${name} is not visible below ${mountPoint}`;
}
