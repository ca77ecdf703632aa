import type { Limits } from "../../limits/limits.ts";
import { CGROUP_LIMITS, wantedText } from "../../limits/table.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CgroupController } from "./controller.ts";
import { ALL_CONTROLLERS_V2, controllersOf } from "./controllers.ts";
import { directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import type { JobCgroup, JobDirectory, Unavailable } from "./jobCgroup.ts";
import type { PlacedAs } from "./placement.ts";
import {
  isAmongProcesses,
  listDisabled,
  listDisabledAbove,
  parentOf,
  readType,
  readWords,
} from "./subtreeControl.ts";

/** Where on cgroup v2 a job's cgroup is to be. `scope` is the directory of one that is delegated to us, made or to be made. */
export type Place = { placedAs: "child" } | { placedAs: "in-place" } | { placedAs: "scope"; scope: string };

/** A group in which all jobs of one tenant lie that come from the same cgroup, and their total there. */
export interface TenantGroup {
  /** Of its directory. */
  name: string;
  limits: Limits;
}

/**
 * Where a job's cgroup would lie: in each hierarchy a child of the cgroup that `membership` names,
 * so that every limit above still holds, or a grandchild, in its tenant's group there; on v2 as `place` says. Only a child
 * can be in a tenant's group. Writes nothing.
 */
export function planJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  membership: Membership,
  name: string,
  limits: Limits,
  tenant?: TenantGroup,
  place: Place = { placedAs: "child" },
): JobCgroup {
  const job: JobCgroup = { fs, directories: [], unavailable: listNotGiven(fs, hierarchies) };
  for (const hierarchy of hierarchies) {
    const wanted = controllersOf(hierarchy).filter(
      (controller) =>
        controller.measures ||
        isAskedFor(controller, limits) ||
        (tenant !== undefined && isAskedFor(controller, tenant.limits)),
    );
    if (wanted.length === 0) continue;
    const cgroupPath = membership.get(hierarchy.key);
    const origin = cgroupPath === undefined ? undefined : directoryOf(hierarchy, cgroupPath);
    if (origin === undefined || hierarchy.isReadOnly) {
      const because = hierarchy.isReadOnly
        ? `${hierarchy.mountPoint} is mounted read-only here`
        : whyNotVisible(hierarchy, cgroupPath);
      job.unavailable.push(...wanted.map(({ name }) => ({ controller: name, because })));
      continue;
    }
    // Controllers that share one v1 hierarchy move together: what hinders one, wanted or not, hinders all.
    const because = controllersOf(hierarchy)
      .map((controller) => controller.unavailable?.({ fs, hierarchy, path: origin }))
      .find((reason) => reason !== undefined);
    if (because !== undefined) {
      job.unavailable.push(...wanted.map(({ name }) => ({ controller: name, because })));
      continue;
    }
    const here: Place = hierarchy.version === 1 ? { placedAs: "child" } : place;
    const { path, base, group } = spotOf(origin, name, here, tenant);
    const threaded =
      hierarchy.version === 2 &&
      here.placedAs === "child" &&
      (isAmongProcesses(fs, origin) || (group !== undefined && isAmongProcesses(fs, group)));
    const usable = wanted.filter(({ dividesThreads }) => dividesThreads || !threaded);
    job.unavailable.push(
      ...wanted
        .filter((controller) => !usable.includes(controller))
        .map(({ name }) => ({
          controller: name,
          because: `${origin} holds processes, and among them cgroup v2 can limit cpu, cpuset and pids only`,
        })),
    );
    const asked = usable.filter(
      (controller) =>
        isAskedFor(controller, limits) ||
        (group !== undefined && tenant !== undefined && isAskedFor(controller, tenant.limits)),
    );
    job.directories.push({
      hierarchy,
      path,
      origin,
      placedAs: here.placedAs,
      ...(group === undefined ? {} : { tenant: group }),
      enabled:
        hierarchy.version === 1 || here.placedAs === "in-place"
          ? []
          : listDisabled(fs, base, namesOf(usable)),
      enabledAbove:
        hierarchy.version === 1 || here.placedAs === "scope"
          ? []
          : listDisabledAbove(fs, hierarchy, here.placedAs === "in-place" ? path : base, namesOf(asked)),
      threaded,
      heldBefore: [],
      controllers: usable,
    });
  }
  return job;
}

/** Where the v2 tree begins at a cgroup below the root of all, as in containers: the controllers that it was not given. */
function listNotGiven(fs: CgroupFs, hierarchies: Hierarchy[]): Unavailable[] {
  const unified = hierarchies.find(({ version }) => version === 2);
  if (!unified || readType(fs, unified.mountPoint) === undefined) return [];
  const { mountPoint, controllers } = unified;
  return ALL_CONTROLLERS_V2.filter((name) => !controllers.includes(name)).map((controller) => ({
    controller,
    because: `it is not among the controllers of ${mountPoint} (cgroup.controllers): the cgroup above does not give it`,
  }));
}

function whyNotVisible({ key, mountPoint, mountRoot }: Hierarchy, cgroupPath: string | undefined): string {
  if (cgroupPath === undefined) return `it has no cgroup in the hierarchy at ${mountPoint}`;
  const name = `its ${key || "v2"} cgroup ${cgroupPath}`;
  if (mountRoot.startsWith("/.."))
    return `${name} cannot be found below ${mountPoint}, which was mounted outside of this cgroup namespace`;
  if (cgroupPath.startsWith("/..")) return `${name} lies outside of this cgroup namespace`;
  return `${name} is not visible below ${mountPoint}`;
}

/** `base`: the directory that the job's lies in, or its tenant's group does. */
function spotOf(
  origin: string,
  name: string,
  place: Place,
  tenant: TenantGroup | undefined,
): { path: string; base: string; group?: string } {
  if (place.placedAs === "in-place") return { path: origin, base: parentOf(origin) };
  if (place.placedAs === "scope") return { path: `${place.scope}/${name}`, base: place.scope };
  if (!tenant) return { path: `${origin}/${name}`, base: origin };
  const group = `${origin}/${tenant.name}`;
  return { path: `${group}/${name}`, base: origin, group };
}

/** What is enough to find a job's cgroup again: JSON in the ledger. */
export interface StoredDirectory
  extends Pick<JobDirectory, "path" | "origin" | "tenant" | "launchGroup" | "formerly" | "enabled">,
    Partial<Pick<JobDirectory, "enabledAbove" | "heldBefore" | "countedBefore" | "tenantCountedBefore">> {
  /** `Hierarchy.key`. */
  hierarchy: string;
  placedAs?: Exclude<PlacedAs, "child">;
}

export function storeJobCgroup(job: JobCgroup): StoredDirectory[] {
  return job.directories.map((directory) => {
    const { hierarchy, path, origin, tenant, launchGroup, formerly, enabled, placedAs } = directory;
    const { enabledAbove, heldBefore, countedBefore, tenantCountedBefore } = directory;
    return {
      hierarchy: hierarchy.key,
      path,
      origin,
      ...(tenant === undefined ? {} : { tenant }),
      ...(launchGroup === undefined ? {} : { launchGroup }),
      ...(formerly === undefined ? {} : { formerly }),
      enabled,
      ...(placedAs === "child" ? {} : { placedAs }),
      ...(enabledAbove.length === 0 ? {} : { enabledAbove }),
      ...(heldBefore.length === 0 ? {} : { heldBefore: structuredClone(heldBefore) }),
      ...(countedBefore === undefined ? {} : { countedBefore }),
      ...(tenantCountedBefore === undefined ? {} : { tenantCountedBefore }),
    };
  });
}

/** The job's cgroup as an earlier ffrtmp left it; directories that are gone, or no longer mounted, are left out. */
export function restoreJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  stored: StoredDirectory[],
): JobCgroup {
  const directories = stored.flatMap((entry): JobDirectory[] => {
    const { hierarchy: key, placedAs = "child", enabledAbove = [], heldBefore = [], ...directory } = entry;
    const { path, tenant, launchGroup, formerly } = directory;
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    // A group without the job's directory in it is what a governor left that died in between.
    const isLeft = [path, tenant, launchGroup, formerly].some(
      (each) => each !== undefined && fs.exists(each),
    );
    if (!hierarchy || !isLeft) return [];
    const known = controllersOf(hierarchy);
    const usable = hierarchy.version === 1 ? undefined : readWords(fs, `${path}/cgroup.controllers`);
    const controllers = usable ? known.filter(({ name }) => usable.includes(name)) : known;
    const threaded = hierarchy.version === 2 && placedAs === "child" && readType(fs, path) === "threaded";
    return [
      {
        ...directory,
        hierarchy,
        placedAs,
        enabledAbove,
        heldBefore: structuredClone(heldBefore),
        threaded,
        controllers,
      },
    ];
  });
  return { fs, directories, unavailable: [] };
}

/** Whether one of the limits is a controller's. */
export function isAskedFor(controller: CgroupController, limits: Limits): boolean {
  return CGROUP_LIMITS.some((limit) => controller.apply[limit] && wantedText(limits, limit) !== undefined);
}

function namesOf(controllers: CgroupController[]): string[] {
  return controllers.map(({ name }) => name);
}
