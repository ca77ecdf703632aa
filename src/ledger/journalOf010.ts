import { basename, dirname } from "node:path";
import type { JobLocation } from "../linux/cgroup/jobCgroup.ts";
import type { AttributeSet, CgroupChange, Change } from "../linux/change.ts";

/** One element of the column `cgroup` as ffrtmp 0.1.0 wrote it. */
export interface Directory010 {
  hierarchy: string;
  path: string;
  origin: string;
  placedAs?: "in-place" | "scope";
  tenant?: string;
  /** v1: the cgroup around `path` with a slot for the starting thread. */
  launchGroup?: string;
  /** The cgroup that the job had before it got another tenant. */
  formerly?: string;
  /** v2: controllers enabled in the directory that the job's cgroup is in. */
  enabled: string[];
  /** v2: controllers enabled further up, from the top down. */
  enabledAbove?: { path: string; controllers: string[] }[];
  /** In place: the files that were written. */
  heldBefore?: { file: string; before: string; after: string | null }[];
  countedBefore?: JobLocation["countedBefore"];
  tenantCountedBefore?: JobLocation["tenantCountedBefore"];
}

/** One element of the column `touched` as ffrtmp 0.1.0 wrote it. */
export interface Touched010 {
  pid: number;
  tid: number;
  startTicks: number;
  value: AttributeSet["attribute"];
  before: number;
  after: number;
}

/** Converts what ffrtmp 0.1.0 recorded about a job's cgroup and processes into locations and a journal. */
export function journalOf010(
  directories: readonly Directory010[],
  touched: readonly Touched010[],
): { cgroup: JobLocation[]; changes: Change[] } {
  const cgroup = directories.map(({ hierarchy, path, placedAs, countedBefore, tenantCountedBefore }) => ({
    hierarchy,
    path,
    ...(placedAs === undefined ? {} : { placedAs }),
    ...(countedBefore === undefined ? {} : { countedBefore }),
    ...(tenantCountedBefore === undefined ? {} : { tenantCountedBefore }),
  }));
  const attributes = touched.map(
    ({ value, ...change }): AttributeSet => ({ kind: "attribute-set", attribute: value, ...change }),
  );
  return { cgroup, changes: [...scopeOf(directories), ...directories.flatMap(changesOf), ...attributes] };
}

/** A scope was recorded only by the paths in it. */
function scopeOf(directories: readonly Directory010[]): Change[] {
  for (const { path, origin, placedAs } of directories) {
    const scope = placedAs === "scope" ? dirname(path) : origin;
    const unit = basename(scope);
    if (!/^ffrtmp-[0-9a-f]{6}-.*\.scope$/.test(unit)) continue;
    return [
      { kind: "scope-started", manager: /\/user@\d+\.service\//.test(scope) ? "user" : "system", unit },
    ];
  }
  return [];
}

function changesOf(directory: Directory010): CgroupChange[] {
  const { hierarchy, path, origin, placedAs, tenant, launchGroup, formerly } = directory;
  const { enabled, enabledAbove = [], heldBefore = [] } = directory;
  const base = placedAs === "scope" ? dirname(path) : origin;
  const levels = [...enabledAbove, { path: base, controllers: enabled }];
  const changes = levels.flatMap((level) =>
    level.controllers.map(
      (controller): CgroupChange => ({ kind: "controller-enabled", hierarchy, path: level.path, controller }),
    ),
  );
  const written = heldBefore.map(
    ({ file, before, after }): CgroupChange => ({
      kind: "file-written",
      hierarchy,
      path: `${path}/${file}`,
      before,
      after,
    }),
  );
  if (placedAs === "in-place") return [...changes, ...written];
  const created = (role: "job" | "tenant" | "wrapper-slot", at: string): CgroupChange => ({
    kind: "cgroup-created",
    hierarchy,
    path: at,
    role,
  });
  const moved = (to: string): CgroupChange => ({ kind: "processes-moved", hierarchy, from: origin, to });
  if (formerly !== undefined) {
    const around = dirname(formerly);
    if (around !== origin && around !== tenant) changes.push(created("tenant", around));
    changes.push(created("job", formerly), moved(formerly));
  }
  if (tenant !== undefined) changes.push(created("tenant", tenant));
  if (launchGroup !== undefined) changes.push(created("wrapper-slot", launchGroup));
  return [...changes, created("job", path), moved(path)];
}
