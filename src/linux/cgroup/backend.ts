import { formatLimit, type Limits } from "../../limits/limits.ts";
import { CGROUP_LIMITS } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CarriedFiles, CgroupChange, CgroupRole } from "../change.ts";
import type { CgroupController } from "./controller.ts";
import type { Hierarchy } from "./hierarchies.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";

/**
 * The wanted position of a job's cgroup on cgroup v2. `scope` is the directory of a scope that is delegated to ffrtmp.
 * `parent` is the cgroup above the one that the processes leave, and `carried` the limits of the one that they leave.
 * `insteadOf`: why the cgroup is not beside the other one, where all limits are possible.
 */
export type Place =
  | { placedAs: "child"; insteadOf?: string }
  | { placedAs: "in-place" }
  | { placedAs: "scope"; scope: string }
  | { placedAs: "beside"; parent: string; carried: CarriedFiles };

/** The cgroup that contains all jobs of one tenant which come from the same cgroup, and their total there. */
export interface TenantGroup {
  name: string;
  limits: Limits;
}

export interface CgroupRequest {
  name: string;
  limits: Limits;
  tenant?: TenantGroup | undefined;
  place?: Place;
  /** v1: this process will start the workload from inside of the job's cgroup, and needs a slot of pids.max there. */
  hasWrapperSlot?: boolean;
  /** The nice value that the workload has without the limits; absent: unknown. */
  nice?: number;
  /** Returns the keys of the changes that other jobs share. */
  shared?: () => ReadonlySet<string>;
}

/** One hierarchy in which a job gets a directory, with the controllers that are to limit or to measure there. */
export type CgroupSite = Pick<JobDirectory, "hierarchy" | "origin" | "controllers"> & { fs: CgroupFs };

/** The part of a job's cgroup in one hierarchy. */
export type DirectoryPlan = Omit<JobCgroup, "fs">;

/** The differences between cgroup v1 and v2. `backendOf` chooses one for each hierarchy. */
export interface CgroupBackend {
  readonly controllers: readonly CgroupController[];
  /** Readers that work in every cgroup, whatever controllers it has. */
  readonly alwaysMeasures: readonly Pick<CgroupController, "usage" | "counters" | "details">[];
  /** A process is started inside by clone3(2) with CLONE_INTO_CGROUP. Otherwise the starting thread joins first. */
  readonly clonesIntoCgroup: boolean;
  /** Plans a job's directory. Writes nothing. */
  plan(site: CgroupSite, request: CgroupRequest): DirectoryPlan;
  usableControllers(fs: CgroupFs, hierarchy: Hierarchy, path: string): CgroupController[];
  /** Completes a directory whose changes were made. Returns false when no process could join it. */
  complete(job: JobCgroup, directory: JobDirectory): boolean;
  /**
   * Enables the controllers again that these limits need and that the cgroups above do not give any more. Adds new changes
   * to the journal. Returns the counters that restarted at 0.
   */
  restoreControllers(job: JobCgroup, directory: JobDirectory, limits: Limits): (keyof Usage)[];
}

export function isAskedFor(controller: CgroupController, ...limits: (Limits | undefined)[]): boolean {
  const own = CGROUP_LIMITS.filter((limit) => controller.limits[limit]);
  return limits.some((each = {}) => own.some((limit) => formatLimit(each, limit) !== undefined));
}

/** Plans new directories: the job's own, and around it its tenant's, the wrapper slot and the carrier if it has them. */
export function planDirectory(
  { hierarchy, origin, controllers }: CgroupSite,
  {
    threaded,
    carried,
    ...parts
  }: Omit<JobDirectory, keyof CgroupSite> & { threaded?: boolean; carried?: CarriedFiles },
): DirectoryPlan {
  const { key } = hierarchy;
  const { path, tenant, wrapperSlot, carrier } = parts;
  const create = (role: CgroupRole, at: string | undefined): CgroupChange[] =>
    at === undefined
      ? []
      : [{ kind: "cgroup-created", hierarchy: key, path: at, role, ...(threaded ? { threaded } : {}) }];
  return {
    directories: [{ hierarchy, origin, controllers, ...parts }],
    changes: [
      ...create("tenant", tenant),
      ...create("wrapper-slot", wrapperSlot),
      ...create("carrier", carrier).map((change) => ({ ...change, ...(carried && { carried }) })),
      ...create("job", path),
      { kind: "processes-moved", hierarchy: key, from: origin, to: path },
    ],
    unavailable: [],
  };
}
