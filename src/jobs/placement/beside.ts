import { dirname } from "node:path";
import type { Place } from "../../linux/cgroup/backend.ts";
import { controllersOf } from "../../linux/cgroup/backends.ts";
import {
  cgroupPathOf,
  directoryOf,
  type Hierarchy,
  type Membership,
} from "../../linux/cgroup/hierarchies.ts";
import { readCarried } from "../../linux/cgroup/v2/carried.ts";
import { isAmongProcesses } from "../../linux/cgroup/v2/subtreeControl.ts";
import type { Host } from "../../linux/host.ts";
import { parseContainers } from "../../linux/proc/container.ts";
import { isOutsideInitialNamespace } from "../../linux/proc/namespaces.ts";
import { parseUnitPlace } from "../../linux/systemd/units.ts";
import type { Context } from "../context.ts";
import { isGovernedPath } from "../job.ts";
import { unifiedHierarchy } from "./jobScope.ts";

type Beside = Extract<Place, { placedAs: "beside" }>;

/**
 * Returns the place of a job that this process starts: on cgroup v2 without systemd beside the caller's cgroup, where all
 * limits are possible and nothing of the caller's cgroup is written; or else below it, with the reason in `insteadOf`.
 */
export function planOwnPlace(context: Context, membership: Membership): Place {
  const hierarchy = unifiedHierarchy(context);
  const cgroupPath = hierarchy && membership.get(hierarchy.key);
  if (!hierarchy || hierarchy.isReadOnly || cgroupPath === undefined) return { placedAs: "child" };
  // On a hybrid machine the controllers of limits can all be on v1.
  if (controllersOf(hierarchy).length === 0) return { placedAs: "child" };
  // With systemd a scope is the place beside the caller. A workload of a governed workload stays in its cgroup.
  if (context.host.bus || isGovernedPath(cgroupPath)) return { placedAs: "child" };
  // The kernel lets the root of all cgroups have processes and children with all controllers.
  const own = directoryOf(hierarchy, cgroupPath);
  if (own !== undefined && !isAmongProcesses(context.host.cgroupFs, own)) return { placedAs: "child" };
  const place = planBeside(context.host, hierarchy, cgroupPath);
  return typeof place === "string" ? { placedAs: "child", insteadOf: place } : place;
}

/**
 * Plans a cgroup beside another one, with the limits of that one, which its processes leave. Returns why that is not
 * possible, or would free them of a limit. For machines without systemd, which is the only writer of its own tree.
 */
export function planBeside(host: Host, hierarchy: Hierarchy, cgroupPath: string): Beside | string {
  const left = directoryOf(hierarchy, cgroupPath);
  if (left === undefined) return `${cgroupPath} is not visible below ${hierarchy.mountPoint}`;
  if (left === hierarchy.mountPoint) return `${left} is the outermost cgroup that is visible here`;
  const parent = dirname(left);
  return (
    whyNotOurs(host, hierarchy, cgroupPath, parent) ?? whyNotParent(host, parent) ?? carryLimits(host, left)
  );
}

/** The cgroup of a unit or of a container is its owner's, and what stops that expects the processes in it. */
function whyNotOurs(
  host: Host,
  hierarchy: Hierarchy,
  cgroupPath: string,
  parent: string,
): string | undefined {
  // A container that sees the cgroups of the machine, not only its own.
  const isInContainer = isOutsideInitialNamespace(host, "pid") && !isOutsideInitialNamespace(host, "cgroup");
  const [containers, containersAround] = [cgroupPath, cgroupPathOf(hierarchy, parent)].map(
    (path) => parseContainers(path).length,
  );
  if (isInContainer || containers !== containersAround)
    return `${cgroupPath} is the cgroup of a container, and the job would leave that`;
  const parts = cgroupPath.split("/").filter(Boolean);
  const unit = parseUnitPlace(cgroupPath);
  // The owner of a delegated unit makes cgroups below it. Everything else in the tree is systemd's.
  if (unit?.below.length === 0 || (unit === undefined && parts[0]?.endsWith(".slice")))
    return `${cgroupPath} is a unit of systemd, which cannot be asked for a scope here`;
  return undefined;
}

function whyNotParent({ cgroupFs: fs }: Host, parent: string): string | undefined {
  if (isAmongProcesses(fs, parent))
    return `${parent} has processes of its own or is a cgroup of threads, and gives no controllers to a cgroup in it`;
  // The kernel asks for the right to write cgroup.procs of the common ancestor: "Delegation Containment" of cgroup-v2.rst.
  const denied = [parent, `${parent}/cgroup.procs`].find((path) => !fs.isWritable(path));
  return denied === undefined ? undefined : `this user may not write to ${denied}`;
}

function carryLimits({ cgroupFs: fs }: Host, left: string): Beside | string {
  const carried = readCarried(fs, left);
  return typeof carried === "string" ? carried : { placedAs: "beside", parent: dirname(left), carried };
}
