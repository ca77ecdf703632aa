import { readlinkSync } from "node:fs";
import { dirname } from "node:path";
import type { Place } from "../../linux/cgroup/backend.ts";
import { directoryOf, type Hierarchy, type Membership } from "../../linux/cgroup/hierarchies.ts";
import { listOccupants } from "../../linux/cgroup/members.ts";
import { readType } from "../../linux/cgroup/v2/subtreeControl.ts";
import type { Host } from "../../linux/host.ts";
import { listTree } from "../../linux/proc/table.ts";
import { planScope, type ScopePlan } from "../../linux/systemd/scope.ts";
import { findUnitFilters, parseUnitPlace } from "../../linux/systemd/units.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import type { JobSpec } from "../job.ts";
import type { OpenJob } from "../model/job.ts";
import { scopeName, unitsHierarchy } from "./jobScope.ts";

/** Where the cgroup of a running process is to be, and the scope that is to be made for it. */
export interface PlannedPlace {
  place: Place;
  scope?: ScopePlan;
}

const CHILD: PlannedPlace = { place: { placedAs: "child" } };

/**
 * Decides where to govern a running process. It belongs to somebody: to a service whose stop must still find it, to a
 * container whose limits must still hold. Throws a Refusal for a placement that was asked for and would break that.
 */
export function planPlace(
  context: Context,
  pid: number,
  membership: Membership,
  { jobId, limits, placement = "auto" }: Pick<JobSpec, "jobId" | "limits" | "placement">,
): PlannedPlace {
  const { host, hierarchies } = context;
  const hierarchy = hierarchies.find(({ version, controllers }) => version === 2 && controllers.length > 0);
  const cgroupPath = hierarchy && membership.get(hierarchy.key);
  const owner = cgroupPath === undefined ? undefined : directoryOf(hierarchy as Hierarchy, cgroupPath);
  if (!hierarchy || cgroupPath === undefined || owner === undefined) {
    if (hierarchy === undefined && placement !== "auto" && placement !== "nested") {
      context.warn(
        `--placement ${placement}: on cgroup v1 every placement is a child of the process's cgroup`,
      );
    }
    return CHILD;
  }
  if (placement === "scope")
    return planScopeFor(context, pid, hierarchy, cgroupPath, owner, { jobId, limits });
  if (placement === "nested") return CHILD;
  const obstacle = whyNotInPlace(host, owner, pid);
  if (obstacle === undefined) return { place: { placedAs: "in-place" } };
  if (placement === "auto") return CHILD;
  throw new Refusal(
    `cannot govern process ${pid} in place: ${obstacle}`,
    "--placement nested, or scope for limits on memory and io",
  );
}

/** The job in whose cgroup, governed in place, a process is: nothing in the path tells. */
export function jobAround(context: Context, membership: Membership): OpenJob | undefined {
  return context.ledger.openJobs().find(({ cgroup }) =>
    cgroup.some(({ hierarchy: key, path, placedAs }) => {
      if (placedAs !== "in-place") return false;
      const hierarchy = context.hierarchies.find((candidate) => candidate.key === key);
      const place = hierarchy && directoryOf(hierarchy, membership.get(key) ?? "");
      return place === path || place?.startsWith(`${path}/`);
    }),
  );
}

/** A limit in place holds for all who are there: it must be the workload alone. */
function whyNotInPlace(host: Host, owner: string, pid: number): string | undefined {
  const { cgroupFs } = host;
  const type = readType(cgroupFs, owner);
  if (type === undefined) return `${owner} is the root of all cgroups, which has no limits`;
  if (type !== "domain") return `${owner} is ${type}, and shares its memory and io limits with others`;
  const tree = new Set(listTree(host, pid));
  const others = listOccupants(cgroupFs, owner).filter((occupant) => !tree.has(occupant));
  if (others.length === 0) return undefined;
  const shown = others.slice(0, 5).map((other) => (other === 0 ? "one that is not visible here" : other));
  return `${owner} holds others too: PID ${shown.join(", ")}${others.length > 5 ? ", …" : ""}`;
}

function planScopeFor(
  context: Context,
  pid: number,
  hierarchy: Hierarchy,
  cgroupPath: string,
  owner: string,
  { jobId, limits }: Pick<JobSpec, "jobId" | "limits">,
): PlannedPlace {
  const { host, state } = context;
  const refuse = (because: string): Refusal =>
    new Refusal(`cannot move process ${pid} to a scope: ${because}`, "--placement auto, in-place or nested");
  const namespace = foreignNamespace(host, pid);
  if (namespace !== undefined) {
    throw refuse(`it is in a container (its ${namespace} namespace is another), and would leave its limits`);
  }
  if (hierarchy.isReadOnly) throw refuse(`${hierarchy.mountPoint} is mounted read-only here`);
  if (readType(host.cgroupFs, owner) === undefined) throw refuse(`${owner} is the root of all cgroups`);
  if (!unitsHierarchy(context)) {
    return { place: { placedAs: "scope", scope: dirname(owner) } };
  }
  const unit = parseUnitPlace(cgroupPath);
  const uid = process.geteuid?.() ?? 0;
  if (uid === 0 && unit && (unit.below.length > 0 || isDelegated(host, unit.unit))) {
    throw refuse(`${unit.unit} is delegated, to a container or another manager, and it would leave that`);
  }
  if (unit?.unit.endsWith(".scope") && whyNotInPlace(host, owner, pid) === undefined) {
    throw refuse(`systemd clears ${unit.unit} away when its last process leaves, and it could not come back`);
  }
  const scope = planScope(host.cgroupFs, hierarchy, cgroupPath, scopeName(state.tag, jobId), uid, limits);
  if (typeof scope === "string") throw refuse(scope);
  const held = host.bus && findUnitFilters(host.bus, cgroupPath);
  if (held !== undefined) throw refuse(held);
  const directory = directoryOf(hierarchy, scope.cgroupPath);
  if (directory === undefined) throw refuse(`${scope.cgroupPath} is not visible here`);
  return { place: { placedAs: "scope", scope: directory }, scope };
}

/** What cannot be asked counts as delegated. */
function isDelegated({ bus }: Host, unit: string): boolean {
  const type = unit.endsWith(".scope") ? "Scope" : "Service";
  const answer = bus?.readProperties("system", unit, type, ["Delegate"]);
  return !answer || "reason" in answer || answer.answer !== "b false";
}

function foreignNamespace({ procRoot }: Host, pid: number): string | undefined {
  return ["pid", "cgroup"].find((kind) => {
    try {
      const read = (of: number | "self"): string => readlinkSync(`${procRoot}/${of}/ns/${kind}`);
      return read(pid) !== read("self");
    } catch {
      // Not for us to read, and then moving it is not for us either; or it is gone.
      return false;
    }
  });
}
