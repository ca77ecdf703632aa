import type { CgroupFs } from "../cgroupFs.ts";
import { type CgroupRequest, type DirectoryPlan, planDirectory } from "./backend.ts";
import { controllersOf } from "./backends.ts";
import { directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import { isForeign } from "./trust.ts";
import { readType } from "./v2/subtreeControl.ts";

// Where the controllers are on cgroup v1 and a v2 hierarchy without any is mounted beside them, as on a hybrid machine of
// systemd at /sys/fs/cgroup/unified, a job has a v2 cgroup too, its companion. It limits nothing. It has the pressure of the
// job, which v1 does not count, and the CPU time: Documentation/accounting/psi.rst, "CPU" of cgroup-v2.rst.

/** Returns whether cgroups of a hierarchy can only be companions. */
export function hasOnlyCompanions(hierarchy: Hierarchy): boolean {
  return hierarchy.version === 2 && controllersOf(hierarchy).length === 0;
}

/**
 * Plans the companion of a job: a child of the v2 cgroup that `membership` names, or of the tenant's there. Returns
 * `undefined` where there is no such hierarchy, or this user may not make one there. Without it the job has no pressure, and
 * no limit is affected.
 */
export function planCompanion(
  fs: CgroupFs,
  hierarchies: readonly Hierarchy[],
  membership: Membership,
  { name, tenant: group }: Pick<CgroupRequest, "name" | "tenant">,
): DirectoryPlan | undefined {
  const hierarchy = hierarchies.find(hasOnlyCompanions);
  const cgroupPath = hierarchy && membership.get(hierarchy.key);
  if (hierarchy === undefined || hierarchy.isReadOnly || cgroupPath === undefined) return undefined;
  const origin = directoryOf(hierarchy, cgroupPath);
  if (origin === undefined || !isPermitted(fs, origin)) return undefined;
  const around = group && `${origin}/${group.name}`;
  const tenant = around === undefined || isForeign(fs, around) ? undefined : around;
  return planDirectory(
    { fs, hierarchy, origin, controllers: [] },
    { path: `${tenant ?? origin}/${name}`, placedAs: "child", tenant },
  );
}

/**
 * A child of a cgroup of threads could have no processes. The kernel asks for the right to write cgroup.procs of the common
 * ancestor of both cgroups: "Delegation Containment" of cgroup-v2.rst.
 */
function isPermitted(fs: CgroupFs, origin: string): boolean {
  const type = readType(fs, origin);
  const isDomain = type === undefined || type === "domain";
  return isDomain && [origin, `${origin}/cgroup.procs`].every((path) => fs.isWritable(path));
}
