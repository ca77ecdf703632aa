import { tightest } from "../../limits/compare.ts";
import type { Limits } from "../../limits/limits.ts";
import { controllersOf } from "../cgroup/controllers.ts";
import { readOwnLimits } from "../cgroup/effectiveLimits.ts";
import { readNumber } from "../cgroup/file.ts";
import { ancestorsOf, directoryOf, type Hierarchy } from "../cgroup/hierarchies.ts";
import { cpusetBindsAnew } from "../cgroup/subtreeControl.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { ScopePlan } from "./scope.ts";
import { parseUnitPlace, type UnitPlace, userOfManager } from "./unitPath.ts";

/** For what lies in no slice. */
const OWN_SLICE = "ffrtmp.slice";
/** Where a user's manager puts what an application starts: systemd.special(7). */
const USER_SLICE = "app.slice";
const DEFAULT_WEIGHT = 100;
/** Not cpuset, where nobody asks for it: switching it on costs, and before Linux 6.12 it binds everybody anew. */
const USUAL_CONTROLLERS = ["cpu", "io", "memory", "pids"];

/**
 * A scope beside the unit that a cgroup belongs to, under the same slice, so that what holds the slice holds on. What the
 * unit itself holds is carried along. Root asks the machine's manager, others that of their own user.
 * `wanted` are the limits of the job that is to lie in it. A string says why there can be none.
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
      wanted.cpus === undefined || cpusetBindsAnew() ? USUAL_CONTROLLERS : [...USUAL_CONTROLLERS, "cpuset"],
    ...readCarried(fs, hierarchy, cgroupPath, scopePath),
  };
}

type ScopePlace = Pick<UnitPlace, "slice" | "slicePath">;

function placeForRoot(cgroupPath: string): ScopePlace | string {
  const place = parseUnitPlace(cgroupPath);
  if (!place) {
    const isSystemds = cgroupPath.split("/").every((part) => part === "" || part.endsWith(".slice"));
    return isSystemds ? { slice: OWN_SLICE, slicePath: `/${OWN_SLICE}` } : foreign(cgroupPath);
  }
  // Root's own manager is delegated to root; everything else below a unit belongs to whoever made it.
  if (place.below.length > 0 && userOfManager(place.unit) === undefined) return foreign(cgroupPath);
  return place.slice === "-.slice" ? { slice: OWN_SLICE, slicePath: `/${OWN_SLICE}` } : place;
}

function placeForUser(cgroupPath: string, uid: number): ScopePlace | string {
  const place = parseUnitPlace(cgroupPath);
  const ownSlice = `/user.slice/user-${uid}.slice`;
  if (place?.slicePath !== ownSlice) {
    return `${cgroupPath} is not below ${ownSlice}, and leaving it takes root`;
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
  return `${cgroupPath} is below a unit that is delegated, or of a manager other than systemd: a container's, most likely`;
}

/** What every cgroup holds that is left for the scope. */
function readCarried(
  fs: CgroupFs,
  hierarchy: Hierarchy,
  cgroupPath: string,
  scopePath: string,
): Pick<ScopePlan, "carried" | "carriedSwapBytes"> {
  const from = directoryOf(hierarchy, cgroupPath);
  const to = directoryOf(hierarchy, scopePath);
  if (from === undefined || to === undefined) return { carried: {}, carriedSwapBytes: undefined };
  const kept = ancestorsOf(hierarchy, to);
  const left = [from, ...ancestorsOf(hierarchy, from)].filter((path) => !kept.includes(path));
  const controllers = controllersOf(hierarchy);
  const swaps = left.map((path) => readNumber({ fs, hierarchy, path }, "memory.swap.max") ?? Infinity);
  const carried = left.reduce<Limits>(
    (limits, path) => tightest(limits, readOwnLimits(controllers, { fs, hierarchy, path })),
    {},
  );
  const common = [from, ...ancestorsOf(hierarchy, from)].find((path) => kept.includes(path));
  const above = common === undefined ? {} : readOwnLimits(controllers, { fs, hierarchy, path: common });
  if (carried.cpus === above.cpus) delete carried.cpus;
  if ((carried.cpuWeight ?? DEFAULT_WEIGHT) >= DEFAULT_WEIGHT) delete carried.cpuWeight;
  const swap = Math.min(...swaps);
  return { carried, carriedSwapBytes: Number.isFinite(swap) ? swap : undefined };
}
