import { basename, dirname } from "node:path";
import type { JobLocation } from "../linux/cgroup/jobCgroup.ts";
import type { AttributeSet, CgroupChange, CgroupRole, Change } from "../linux/change.ts";

/** One element of the column `cgroup` as ffrtmp 0.1.0 wrote it. */
export interface Directory010 extends JobLocation {
  origin: string;
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
}

/** One element of the column `touched` as ffrtmp 0.1.0 wrote it. */
export interface Touched010 extends Omit<AttributeSet, "kind" | "attribute"> {
  value: AttributeSet["attribute"];
}

/** Converts what ffrtmp 0.1.0 recorded about a job's cgroup and processes into locations and a journal. */
export function journalOf010(
  directories: readonly Directory010[],
  touched: readonly Touched010[],
): { cgroup: JobLocation[]; changes: Change[] } {
  const converted = directories.map(convert);
  const attributes = touched.map(
    ({ value, ...change }): AttributeSet => ({ kind: "attribute-set", attribute: value, ...change }),
  );
  return {
    cgroup: converted.map(({ location }) => location),
    changes: [...scopeOf(directories), ...converted.flatMap(({ changes }) => changes), ...attributes],
  };
}

/** A scope was recorded only by the paths in it. */
function scopeOf(directories: readonly Directory010[]): Change[] {
  for (const { path, origin, placedAs } of directories) {
    const scope = placedAs === "scope" ? dirname(path) : origin;
    const unit = basename(scope);
    if (!/^ffrtmp-[0-9a-f]{6}-.*\.scope$/.test(unit)) continue;
    const manager = /\/user@\d+\.service\//.test(scope) ? "user" : "system";
    return [{ kind: "scope-started", manager, unit }];
  }
  return [];
}

function convert(directory: Directory010): { location: JobLocation; changes: CgroupChange[] } {
  const { origin, tenant, launchGroup, formerly, enabled, enabledAbove, heldBefore, ...location } = directory;
  const { hierarchy, path, placedAs } = location;
  const base = placedAs === "scope" ? dirname(path) : origin;
  const changes: CgroupChange[] = [];
  for (const level of [...(enabledAbove ?? []), { path: base, controllers: enabled }]) {
    for (const controller of level.controllers)
      changes.push({ kind: "controller-enabled", hierarchy, path: level.path, controller });
  }
  if (placedAs === "in-place") {
    for (const { file, ...values } of heldBefore ?? [])
      changes.push({ kind: "file-written", hierarchy, path: `${path}/${file}`, ...values });
    return { location, changes };
  }
  const create = (role: CgroupRole, at: string) =>
    changes.push({ kind: "cgroup-created", hierarchy, path: at, role });
  const move = (to: string) => changes.push({ kind: "processes-moved", hierarchy, from: origin, to });
  if (formerly !== undefined) {
    const around = dirname(formerly);
    if (around !== origin && around !== tenant) create("tenant", around);
    create("job", formerly);
    move(formerly);
  }
  if (tenant !== undefined) create("tenant", tenant);
  if (launchGroup !== undefined) create("wrapper-slot", launchGroup);
  create("job", path);
  move(path);
  return { location, changes };
}
