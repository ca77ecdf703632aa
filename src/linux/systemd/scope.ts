import { type Limits, propertiesOf, tightest } from "../../limits/limits.ts";
import { numberProperty } from "../../limits/systemdProperties.ts";
import { CGROUP_LIMITS, LIMITS } from "../../limits/table.ts";
import { controllersOf } from "../cgroup/backends.ts";
import { readOwnLimits } from "../cgroup/effectiveLimits.ts";
import { readNumber } from "../cgroup/file.ts";
import { ancestorsOf, directoryOf, type Hierarchy } from "../cgroup/hierarchies.ts";
import { cpusetResetsAffinity } from "../cgroup/v2/subtreeControl.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { BusProperty, Manager } from "../systemdBus.ts";
import { parseUnitPlace, type UnitPlace, userOfManager } from "./units.ts";

/** The slice for processes that are in none. */
const OWN_SLICE = "ffrtmp.slice";
/** The slice of a user's manager for applications: systemd.special(7). */
const USER_SLICE = "app.slice";
/**
 * Without cpuset: enabling it costs, and before Linux 6.12 it resets the CPU affinity of every process that gets a cpuset.
 * It is added on later kernels for a job with cpus.
 */
const DEFAULT_CONTROLLERS = ["cpu", "io", "memory", "pids"];

export interface ScopePlan {
  manager: Manager;
  /** `ffrtmp-1f3a9c-transcode-001.scope` */
  unit: string;
  slice: string;
  /** The path of its cgroup, as in /proc/PID/cgroup. */
  cgroupPath: string;
  /** The controllers that are delegated to the scope. systemd enables them from the root down. */
  controllers: string[];
  /** Limits of the cgroup that its processes leave, which must stay in force. */
  carried: Limits;
  /** The same for memory.swap.max, in bytes; `undefined` without one. */
  carriedSwapBytes: number | undefined;
}

/**
 * Plans a scope beside the unit of a cgroup, under the same slice, so that the limits of the slice stay in force. The scope
 * carries the limits of the unit. Root uses the manager of the machine, other users their own. `wanted` are the limits of
 * the job in the scope. Returns a string when a scope is not possible.
 */
export function planScope(
  fs: CgroupFs,
  hierarchy: Hierarchy,
  cgroupPath: string,
  unit: string,
  uid: number,
  wanted: Limits = {},
): ScopePlan | string {
  const place = uid === 0 ? placeForRoot(cgroupPath) : placeForUser(cgroupPath, uid);
  if (typeof place === "string") return place;
  const scopePath = `${place.slicePath}/${unit}`;
  const hasCpuset = wanted.cpus !== undefined && !cpusetResetsAffinity();
  return {
    manager: uid === 0 ? "system" : "user",
    unit,
    slice: place.slice,
    cgroupPath: scopePath,
    controllers: [...DEFAULT_CONTROLLERS, ...(hasCpuset ? ["cpuset"] : [])],
    ...readCarried(fs, hierarchy, cgroupPath, scopePath),
  };
}

type ScopePlace = Pick<UnitPlace, "slice" | "slicePath">;

function placeForRoot(cgroupPath: string): ScopePlace | string {
  const ownSlice = { slice: OWN_SLICE, slicePath: `/${OWN_SLICE}` };
  const place = parseUnitPlace(cgroupPath);
  if (!place) {
    const isSlice = cgroupPath.split("/").every((part) => part === "" || part.endsWith(".slice"));
    return isSlice ? ownSlice : foreign(cgroupPath);
  }
  // The manager of root is delegated to root. Any other cgroup below a unit belongs to the owner of a delegated unit.
  if (place.below.length > 0 && userOfManager(place.unit) === undefined) return foreign(cgroupPath);
  return place.slice === "-.slice" ? ownSlice : place;
}

function placeForUser(cgroupPath: string, uid: number): ScopePlace | string {
  const place = parseUnitPlace(cgroupPath);
  const ownSlice = `/user.slice/user-${uid}.slice`;
  if (place?.slicePath !== ownSlice)
    return `${cgroupPath} is not below ${ownSlice}, and leaving it needs root`;
  const manager = `${ownSlice}/user@${uid}.service`;
  const applications = { slice: USER_SLICE, slicePath: `${manager}/${USER_SLICE}` };
  if (userOfManager(place.unit) !== uid) return place.below.length > 0 ? foreign(cgroupPath) : applications;
  const inner = parseUnitPlace(`/${place.below.join("/")}`);
  if (!inner || inner.below.length > 0) return foreign(cgroupPath);
  return inner.slice === "-.slice"
    ? applications
    : { slice: inner.slice, slicePath: `${manager}${inner.slicePath}` };
}

function foreign(cgroupPath: string): string {
  return `${cgroupPath} is below a delegated unit or was created by a manager other than systemd, such as a container engine`;
}

/** Reads the limits of the cgroups that the process leaves for the scope. */
function readCarried(fs: CgroupFs, hierarchy: Hierarchy, cgroupPath: string, scopePath: string) {
  const from = directoryOf(hierarchy, cgroupPath);
  const to = directoryOf(hierarchy, scopePath);
  if (from === undefined || to === undefined) return { carried: {}, carriedSwapBytes: undefined };
  const aboveScope = ancestorsOf(hierarchy, to);
  const way = [from, ...ancestorsOf(hierarchy, from)];
  const left = way.filter((path) => !aboveScope.includes(path));
  const controllers = controllersOf(hierarchy);
  const ownLimits = (path: string): Limits => readOwnLimits(controllers, { fs, hierarchy, path });
  const carried = left.map(ownLimits).reduce<Limits>((limits, own) => tightest(limits, own), {});
  const common = way.find((path) => aboveScope.includes(path));
  if (carried.cpus === (common === undefined ? undefined : ownLimits(common).cpus)) delete carried.cpus;
  for (const { field, compare } of CGROUP_LIMITS.map((name) => LIMITS[name])) {
    const value = carried[field];
    if (value !== undefined && compare.isAtMost?.(undefined, value)) delete carried[field];
  }
  const swaps = left.flatMap((path) => readNumber({ fs, path }, "memory.swap.max") ?? []);
  return { carried, carriedSwapBytes: swaps.length === 0 ? undefined : Math.min(...swaps) };
}

/** Returns the properties of a planned scope, as `Scope` has them. */
export function scopeProperties(plan: ScopePlan): BusProperty[] {
  const { slice, controllers, carried, carriedSwapBytes } = plan;
  return [
    ["Slice", "s", slice],
    ["DelegateControllers", "as", controllers],
    ["CollectMode", "s", "inactive-or-failed"],
    ...propertiesOf(carried),
    ...(carriedSwapBytes === undefined ? [] : numberProperty("MemorySwapMax")(carriedSwapBytes)),
  ];
}
