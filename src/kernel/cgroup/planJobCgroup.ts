import { CGROUP_LIMITS, type Limits, wantedText } from "../limits.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import type { CgroupController } from "./controller.ts";
import { controllersOf } from "./controllers.ts";
import { directoryOf, type Hierarchy, type Membership } from "./hierarchies.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";
import { isAmongProcesses, listDisabled, readType, readWords } from "./subtreeControl.ts";

/**
 * Where a job's cgroup would lie: in each hierarchy a child of the cgroup that `membership` names,
 * so that every limit above still holds. Writes nothing.
 */
export function planJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  membership: Membership,
  name: string,
  limits: Limits,
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
    const threaded = hierarchy.version === 2 && isAmongProcesses(fs, origin);
    const usable = wanted.filter(({ dividesThreads }) => dividesThreads || !threaded);
    job.hindrances.push(
      ...wanted
        .filter((controller) => !usable.includes(controller))
        .map(({ name }) => ({
          controller: name,
          because: `${origin} holds processes, and among them cgroup v2 can limit cpu, cpuset and pids only`,
        })),
    );
    job.directories.push({
      hierarchy,
      path: `${origin}/${name}`,
      origin,
      enabled:
        hierarchy.version === 2
          ? listDisabled(
              fs,
              origin,
              usable.map(({ name }) => name),
            )
          : [],
      threaded,
      controllers: usable,
    });
  }
  return job;
}

/** What is enough to find a job's cgroup again: JSON in the ledger. */
export interface StoredDirectory {
  /** `Hierarchy.key`. */
  hierarchy: string;
  path: string;
  origin: string;
  enabled: string[];
}

export function storeJobCgroup(job: JobCgroup): StoredDirectory[] {
  return job.directories.map(({ hierarchy, path, origin, enabled }) => ({
    hierarchy: hierarchy.key,
    path,
    origin,
    enabled,
  }));
}

/** The job's cgroup as an earlier ffrtmp left it; directories that are gone, or no longer mounted, are left out. */
export function restoreJobCgroup(
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  stored: StoredDirectory[],
): JobCgroup {
  const directories = stored.flatMap(({ hierarchy: key, path, origin, enabled }): JobDirectory[] => {
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
        threaded: hierarchy.version === 2 && readType(fs, path) === "threaded",
        controllers,
      },
    ];
  });
  return { fs, directories, hindrances: [] };
}

function isAskedFor(controller: CgroupController, limits: Limits): boolean {
  return CGROUP_LIMITS.some((limit) => controller.apply[limit] && wantedText(limits, limit) !== undefined);
}
