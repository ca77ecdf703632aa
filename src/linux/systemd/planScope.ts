import { type Limits, tightest } from "../../limits/limits.ts";
import { CGROUP_LIMITS, LIMITS } from "../../limits/table.ts";
import { controllersOf } from "../cgroup/backends.ts";
import { readOwnLimits } from "../cgroup/effectiveLimits.ts";
import { readNumber } from "../cgroup/file.ts";
import { ancestorsOf, directoryOf, type Hierarchy } from "../cgroup/hierarchies.ts";
import { cpusetResetsAffinity } from "../cgroup/v2/subtreeControl.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { ScopePlan } from "./scope.ts";
import { parseUnitPlace, type UnitPlace, userOfManager } from "./unitPath.ts";

/** The slice for processes that are in none. */
const OWN_SLICE = "ffrtmp.slice";
/** The slice of a user's manager for applications: systemd.special(7). */
const USER_SLICE = "app.slice";
/**
 * Without cpuset: enabling it costs, and before Linux 6.12 it resets the CPU affinity of every process that
 * gets a cpuset. It is added on later kernels for a job with cpus.
 */
const DEFAULT_CONTROLLERS = ["cpu", "io", "memory", "pids"];

/**
 * Plans a scope beside the unit of a cgroup, under the same slice, so that the limits of the slice stay in
 * force. The scope carries the limits of the unit. Root uses the manager of the machine, other users their
 * own. `wanted` are the limits of the job in the scope. Returns a string when a scope is not possible.
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
  return {
    manager: uid === 0 ? "system" : "user",
    unit,
    slice: place.slice,
    cgroupPath: scopePath,
    controllers:
      wanted.cpus === undefined || cpusetResetsAffinity()
        ? DEFAULT_CONTROLLERS
        : [...DEFAULT_CONTROLLERS, "cpuset"],
    ...readCarried(fs, hierarchy, cgroupPath, scopePath),
  };
}

type ScopePlace = Pick<UnitPlace, "slice" | "slicePath">;

function placeForRoot(cgroupPath: string): ScopePlace | string {
  const place = parseUnitPlace(cgroupPath);
  if (!place) {
    const isSlice = cgroupPath.split("/").every((part) => part === "" || part.endsWith(".slice"));
    return isSlice ? { slice: OWN_SLICE, slicePath: `/${OWN_SLICE}` } : foreign(cgroupPath);
  }
  // The manager of root is delegated to root. Any other cgroup below a unit belongs to the owner of a
  // delegated unit.
  if (place.below.length > 0 && userOfManager(place.unit) === undefined) return foreign(cgroupPath);
  return place.slice === "-.slice" ? { slice: OWN_SLICE, slicePath: `/${OWN_SLICE}` } : place;
}

function placeForUser(cgroupPath: string, uid: number): ScopePlace | string {
  const place = parseUnitPlace(cgroupPath);
  const ownSlice = `/user.slice/user-${uid}.slice`;
  if (place?.slicePath !== ownSlice) {
    return `${cgroupPath} is not below ${ownSlice}, and leaving it needs root`;
  }
  const manager = `${ownSlice}/user@${uid}.service`;
  if (userOfManager(place.unit) !== uid) {
    return place.below.length > 0
      ? foreign(cgroupPath)
      : { slice: USER_SLICE, slicePath: `${manager}/${USER_SLICE}` };
  }
  const inner = parseUnitPlace(`/${place.below.join("/")}`);
  if (!inner || inner.below.length > 0) return foreign(cgroupPath);
  if (inner.slice === "-.slice") return { slice: USER_SLICE, slicePath: `${manager}/${USER_SLICE}` };
  return { slice: inner.slice, slicePath: `${manager}${inner.slicePath}` };
}

function foreign(cgroupPath: string): string {
  return `${cgroupPath} is below a delegated unit or was created by a manager other than systemd, such as a container engine`;
}

/** Reads the limits of the cgroups that the process leaves for the scope. */
function readCarried(
  fs: CgroupFs,
  hierarchy: Hierarchy,
  cgroupPath: string,
  scopePath: string,
): Pick<ScopePlan, "carried" | "carriedSwapBytes"> {
  const from = directoryOf(hierarchy, cgroupPath);
  const to = directoryOf(hierarchy, scopePath);
  if (from === undefined || to === undefined) return { carried: {}, carriedSwapBytes: undefined };
  const shared = ancestorsOf(hierarchy, to);
  const left = [from, ...ancestorsOf(hierarchy, from)].filter((path) => !shared.includes(path));
  const controllers = controllersOf(hierarchy);
  const swaps = left.map((path) => readNumber({ fs, hierarchy, path }, "memory.swap.max") ?? Infinity);
  const carried = left.reduce<Limits>(
    (limits, path) => tightest(limits, readOwnLimits(controllers, { fs, hierarchy, path })),
    {},
  );
  const common = [from, ...ancestorsOf(hierarchy, from)].find((path) => shared.includes(path));
  const above = common === undefined ? {} : readOwnLimits(controllers, { fs, hierarchy, path: common });
  if (carried.cpus === above.cpus) delete carried.cpus;
  for (const { field, compare } of CGROUP_LIMITS.map((name) => LIMITS[name])) {
    const value = carried[field];
    if (value !== undefined && compare.isAtMost?.(undefined, value)) delete carried[field];
  }
  const swap = Math.min(...swaps);
  return { carried, carriedSwapBytes: Number.isFinite(swap) ? swap : undefined };
}
