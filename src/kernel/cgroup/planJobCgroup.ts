import { CGROUP_LIMITS, type Limits, wantedText } from "../limits.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import type { CgroupController } from "./controller.ts";
import { controllersOf } from "./controllers.ts";
import type { HeldBefore } from "./heldBefore.ts";
import { directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import type { EnabledAbove, JobCgroup, JobDirectory } from "./jobCgroup.ts";
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

/**
 * Where a job's cgroup would lie: in each hierarchy a child of the cgroup that `membership` names,
 * so that every limit above still holds; on v2 as `place` says. Writes nothing.
 */
export function planJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  membership: Membership,
  name: string,
  limits: Limits,
  place: Place = { placedAs: "child" },
): JobCgroup {
  const job: JobCgroup = { fs, directories: [], hindrances: [] };
  for (const hierarchy of hierarchies) {
    const wanted = controllersOf(hierarchy).filter(
      (controller) => controller.measures || isAskedFor(controller, limits),
    );
    if (wanted.length === 0) continue;
    const cgroupPath = membership.get(hierarchy.key);
    const origin = cgroupPath === undefined ? undefined : directoryOf(hierarchy, cgroupPath);
    if (origin === undefined) {
      const because =
        cgroupPath === undefined
          ? `it has no cgroup in the hierarchy at ${hierarchy.mountPoint}`
          : `its ${hierarchy.key || "v2"} cgroup ${cgroupPath} is not visible below ${hierarchy.mountPoint}`;
      job.hindrances.push(...wanted.map(({ name }) => ({ controller: name, because })));
      continue;
    }
    // Controllers that share one v1 hierarchy move together: what hinders one, wanted or not, hinders all.
    const because = controllersOf(hierarchy)
      .map((controller) => controller.hindrance?.({ fs, hierarchy, path: origin }))
      .find((reason) => reason !== undefined);
    if (because !== undefined) {
      job.hindrances.push(...wanted.map(({ name }) => ({ controller: name, because })));
      continue;
    }
    const here: Place = hierarchy.version === 1 ? { placedAs: "child" } : place;
    const { path, parent } = spotOf(origin, name, here);
    const threaded = hierarchy.version === 2 && here.placedAs === "child" && isAmongProcesses(fs, origin);
    const usable = wanted.filter(({ dividesThreads }) => dividesThreads || !threaded);
    job.hindrances.push(
      ...wanted
        .filter((controller) => !usable.includes(controller))
        .map(({ name }) => ({
          controller: name,
          because: `${origin} holds processes, and among them cgroup v2 can limit cpu, cpuset and pids only`,
        })),
    );
    const off = (names: string[]): string[] =>
      hierarchy.version === 1 || here.placedAs === "in-place" ? [] : listDisabled(fs, parent, names);
    const asked = usable.filter((controller) => isAskedFor(controller, limits));
    job.directories.push({
      hierarchy,
      path,
      origin,
      placedAs: here.placedAs,
      enabled: off(usable.map(({ name }) => name)),
      enabledAbove:
        hierarchy.version === 1 || here.placedAs === "scope"
          ? []
          : listDisabledAbove(
              fs,
              hierarchy,
              path,
              asked.map(({ name }) => name),
            ).filter(({ path }) => here.placedAs === "in-place" || path !== parent),
      threaded,
      heldBefore: [],
      controllers: usable,
    });
  }
  return job;
}

function spotOf(origin: string, name: string, place: Place): { path: string; parent: string } {
  if (place.placedAs === "in-place") return { path: origin, parent: parentOf(origin) };
  const parent = place.placedAs === "scope" ? place.scope : origin;
  return { path: `${parent}/${name}`, parent };
}

/** What is enough to find a job's cgroup again: JSON in the ledger. */
export interface StoredDirectory {
  /** `Hierarchy.key`. */
  hierarchy: string;
  path: string;
  origin: string;
  enabled: string[];
  /** Absent: a child of `origin`. */
  placedAs?: Exclude<PlacedAs, "child">;
  enabledAbove?: EnabledAbove[];
  heldBefore?: HeldBefore[];
}

export function storeJobCgroup(job: JobCgroup): StoredDirectory[] {
  return job.directories.map(({ hierarchy, path, origin, enabled, placedAs, enabledAbove, heldBefore }) => ({
    hierarchy: hierarchy.key,
    path,
    origin,
    enabled,
    ...(placedAs === "child" ? {} : { placedAs }),
    ...(enabledAbove.length === 0 ? {} : { enabledAbove }),
    ...(heldBefore.length === 0 ? {} : { heldBefore: structuredClone(heldBefore) }),
  }));
}

/** The job's cgroup as an earlier ffrtmp left it; directories that are gone, or no longer mounted, are left out. */
export function restoreJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  stored: StoredDirectory[],
): JobCgroup {
  const directories = stored.flatMap((entry): JobDirectory[] => {
    const { hierarchy: key, path, origin, enabled } = entry;
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    if (!hierarchy || !fs.exists(path)) return [];
    const known = controllersOf(hierarchy);
    const usable = hierarchy.version === 1 ? undefined : readWords(fs, `${path}/cgroup.controllers`);
    const controllers = usable ? known.filter(({ name }) => usable.includes(name)) : known;
    return [
      {
        hierarchy,
        path,
        origin,
        enabled,
        placedAs: entry.placedAs ?? "child",
        enabledAbove: entry.enabledAbove ?? [],
        heldBefore: structuredClone(entry.heldBefore ?? []),
        threaded:
          hierarchy.version === 2 && entry.placedAs === undefined && readType(fs, path) === "threaded",
        controllers,
      },
    ];
  });
  return { fs, directories, hindrances: [] };
}

function isAskedFor(controller: CgroupController, limits: Limits): boolean {
  return CGROUP_LIMITS.some((limit) => controller.apply[limit] && wantedText(limits, limit) !== undefined);
}
