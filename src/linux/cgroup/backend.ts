import type { Limits } from "../../limits/limits.ts";
import { formatLimit } from "../../limits/limits.ts";
import { CGROUP_LIMITS } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CgroupChange } from "../change.ts";
import type { CgroupController, Unavailable } from "./controller.ts";
import type { Hierarchy } from "./hierarchies.ts";
import type { JobCgroup, JobDirectory } from "./jobCgroup.ts";

/** Where a job's cgroup is to be on cgroup v2. `scope` is the directory of a scope that is delegated to ffrtmp. */
export type Place = { placedAs: "child" } | { placedAs: "in-place" } | { placedAs: "scope"; scope: string };

/** The cgroup in which all jobs of one tenant are that come from the same cgroup, and their total there. */
export interface TenantGroup {
  /** Of its directory. */
  name: string;
  limits: Limits;
}

/** What a job's cgroup is planned for. */
export interface CgroupRequest {
  /** Of the job's directories. */
  name: string;
  limits: Limits;
  tenant?: TenantGroup | undefined;
  place?: Place;
  /** v1: this process will start the workload from inside of the job's cgroup, and needs a slot of pids.max there. */
  hasWrapperSlot?: boolean;
  /** The keys of the changes that other jobs share. */
  shared?: () => ReadonlySet<string>;
}

/** One hierarchy in which a job gets a directory. */
export interface CgroupSite {
  fs: CgroupFs;
  hierarchy: Hierarchy;
  /** The directory that the processes of the job are in without it. */
  origin: string;
  /** The controllers that are to limit or to measure there. */
  controllers: readonly CgroupController[];
}

/** A job's directory with the changes that make it, in their order. */
export interface DirectoryPlan {
  directory: JobDirectory;
  changes: CgroupChange[];
  unavailable: Unavailable[];
}

/** The differences between cgroup v1 and v2. `backendOf` chooses one for each hierarchy. */
export interface CgroupBackend {
  /** Every controller of this version that ffrtmp knows. */
  readonly controllers: readonly CgroupController[];
  /** Readers of `usage` that work in every cgroup, whatever controllers it has. */
  readonly alwaysMeasures: readonly Pick<CgroupController, "usage">[];
  /** The file in which a thread that writes its own id to it joins, without any right beyond the cgroup itself. */
  readonly ownThreadFile: "tasks" | "cgroup.procs";
  /** Whether each thread of a process can be in a cgroup of its own. */
  readonly hasThreadMembership: boolean;
  /** Whether a process is started inside by clone3(2) with CLONE_INTO_CGROUP. Otherwise the starting thread joins first. */
  readonly clonesIntoCgroup: boolean;
  /** Plans a job's directory. Writes nothing. */
  plan(site: CgroupSite, request: CgroupRequest): DirectoryPlan;
  /** The controllers that an existing directory can use. */
  usableControllers(fs: CgroupFs, hierarchy: Hierarchy, path: string): CgroupController[];
  isThreaded(fs: CgroupFs, path: string): boolean;
  /** Completes a directory whose changes were made. False when no process could join it. */
  complete(job: JobCgroup, directory: JobDirectory): boolean;
  /**
   * Enables the controllers again that these limits need and that the cgroups above do not give any more. Adds new changes
   * to the journal. Returns the counters that restarted at 0.
   */
  restoreControllers(job: JobCgroup, directory: JobDirectory, limits: Limits): (keyof Usage)[];
}

/** Whether one of the limits belongs to a controller. */
export function isAskedFor(controller: CgroupController, limits: Limits): boolean {
  return CGROUP_LIMITS.some((limit) => controller.limits[limit] && formatLimit(limits, limit) !== undefined);
}
