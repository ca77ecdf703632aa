import type { Manager } from "./systemdBus.ts";

/**
 * One change to the machine that ffrtmp made for a job and can undo. The changes of a job are its journal: they
 * are recorded before they are made, in the same order, and undone in the reverse order.
 */
export type Change = CgroupChange | AttributeSet | ScopeStarted;

/** A change of a cgroup tree. `hierarchy` is a `Hierarchy.key`. */
export type CgroupChange = CgroupCreated | ControllerEnabled | FileWritten | ProcessesMoved;

export interface CgroupCreated {
  kind: "cgroup-created";
  hierarchy: string;
  path: string;
  role: CgroupRole;
  /** The limits that a `carrier` gets. */
  carried?: CarriedFiles;
  /** v2: it is a cgroup of threads, among the processes of the cgroup above. */
  threaded?: true;
}

/** The texts of limit files, by the name of the file. */
export type CarriedFiles = Readonly<Record<string, string>>;

/**
 * `job`: the job's own. `tenant`: the one that all jobs of a tenant share, which the last job removes.
 * `wrapper-slot`: v1 only, around the job's own; it counts the thread that starts the workload too.
 * `carrier`: v2 only, around the job's own where that is beside the cgroup that its processes came from; it has the limits
 * of that cgroup, which the processes have left.
 */
export type CgroupRole = "job" | "tenant" | "wrapper-slot" | "carrier";

/** v2: a controller was added to `cgroup.subtree_control` at `path`, possibly for several jobs. */
export interface ControllerEnabled {
  kind: "controller-enabled";
  hierarchy: string;
  path: string;
  controller: string;
}

export interface FileWritten {
  kind: "file-written";
  hierarchy: string;
  path: string;
  /** The trimmed text before the write. `null`: the cgroup is the job's own, and is removed with the file. */
  before: string | null;
  /** The trimmed text after it; `null` between the record and the write, and after a crash in between. */
  after: string | null;
  /**
   * The weight of a cgroup between the job's own and a live job, which holds batch jobs alone: see jobs/limits/gates.ts. Every
   * job in it has this change, and the last one restores the file.
   */
  isGate?: true;
}

/** The processes of the job belong in `to`; without the job they would be in `from`. */
export interface ProcessesMoved {
  kind: "processes-moved";
  hierarchy: string;
  from: string;
  to: string;
}

export interface AttributeSet {
  kind: "attribute-set";
  attribute: "nice" | "ionice" | "oom_score_adj";
  pid: number;
  /** Thread id; the same as `pid` for a value of the whole process. */
  tid: number;
  /** Start time of the thread, so that a reused id is never written to. */
  startTicks: number;
  before: number;
  after: number;
}

/** systemd started a scope unit for the job. systemd removes the scope after its last process has left. */
export interface ScopeStarted {
  kind: "scope-started";
  manager: Manager;
  unit: string;
}

export function isCgroupChange(change: Change): change is CgroupChange {
  return change.kind !== "attribute-set" && change.kind !== "scope-started";
}

export function isGate(change: Change): change is FileWritten {
  return change.kind === "file-written" && change.isGate === true;
}

/** Returns whether several jobs can have the same change, which the last of them undoes. */
export function isShared(change: Change): boolean {
  return change.kind === "controller-enabled" || isGate(change);
}

/** Identifies what a change applies to: changes with the same key differ only in their values. */
export function changeKey(change: Change): string {
  switch (change.kind) {
    case "cgroup-created":
    case "file-written":
      return `${change.kind} ${change.path}`;
    case "controller-enabled":
      return `${change.kind} ${change.path} ${change.controller}`;
    case "processes-moved":
      return `${change.kind} ${change.from} ${change.to}`;
    case "attribute-set":
      return `${change.kind} ${change.attribute} ${change.tid} ${change.startTicks}`;
    case "scope-started":
      return `${change.kind} ${change.manager} ${change.unit}`;
  }
}
