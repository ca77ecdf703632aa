import type { Place } from "../../linux/cgroup/backend.ts";
import { directoryOf, type Hierarchy, type Membership } from "../../linux/cgroup/hierarchies.ts";
import { listOccupants } from "../../linux/cgroup/members.ts";
import { readType } from "../../linux/cgroup/v2/subtreeControl.ts";
import type { Host } from "../../linux/host.ts";
import { listTree, readLink } from "../../linux/proc/table.ts";
import type { ScopePlan } from "../../linux/systemd/scope.ts";
import { findUnitFilters, parseUnitPlace } from "../../linux/systemd/units.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { isGovernedPath, type JobSpec } from "../job.ts";
import type { OpenJob } from "../model/job.ts";
import { planBeside } from "./beside.ts";
import { planJobScope, type ScopeSpec, unifiedHierarchy } from "./jobScope.ts";

/** The place of a running process's cgroup, and the scope that is started for it. */
export interface PlannedPlace {
  place: Place;
  scope?: ScopePlan;
}

const CHILD: PlannedPlace = { place: { placedAs: "child" } };

/**
 * Decides where to govern a running process. Its cgroup has an owner: a service, whose stop must still find the process,
 * or a container, whose limits must still apply. Throws a Refusal for a placement that was asked for and would break that.
 */
export function planPlace(
  context: Context,
  pid: number,
  membership: Membership,
  { placement = "auto", ...spec }: ScopeSpec & Pick<JobSpec, "placement">,
): PlannedPlace {
  const hierarchy = unifiedHierarchy(context);
  if (hierarchy === undefined && (placement === "scope" || placement === "in-place"))
    context.warn(`--placement ${placement}: on cgroup v1 every placement is a child of the process's cgroup`);
  const cgroupPath = hierarchy && membership.get(hierarchy.key);
  if (!hierarchy || cgroupPath === undefined || placement === "nested") return CHILD;
  const owner = directoryOf(hierarchy, cgroupPath);
  if (owner === undefined) return CHILD;
  if (placement === "scope") return planScopeFor(context, pid, hierarchy, cgroupPath, owner, spec);
  // Only the job of another user's ffrtmp: in place, the two would overwrite each other's limits.
  if (placement === "auto" && isGovernedPath(cgroupPath)) return CHILD;
  const obstacle = whyNotInPlace(context.host, owner, pid);
  if (obstacle === undefined) return { place: { placedAs: "in-place" } };
  if (placement === "auto") return CHILD;
  throw new Refusal(
    `cannot govern process ${pid} in place: ${obstacle}`,
    "--placement nested, or scope for limits on memory and io",
  );
}

/** Returns the job that governs, in place, the cgroup that a process is in. The cgroup's path does not name the job. */
export function jobAround(context: Context, membership: Membership): OpenJob | undefined {
  return context.ledger.openJobsInPlace().find(({ cgroup }) =>
    cgroup.some(({ hierarchy: key, path, placedAs }) => {
      if (placedAs !== "in-place") return false;
      const hierarchy = context.hierarchies.find((candidate) => candidate.key === key);
      const place = hierarchy && directoryOf(hierarchy, membership.get(key) ?? "");
      return place === path || place?.startsWith(`${path}/`);
    }),
  );
}

/** A limit in place applies to every process in the cgroup: all must be of the workload. */
function whyNotInPlace(host: Host, owner: string, pid: number): string | undefined {
  const type = readType(host.cgroupFs, owner);
  if (type === undefined) return `${owner} is the root of all cgroups, which has no limits`;
  if (type !== "domain") return `${owner} is ${type}, and shares its memory and io limits with others`;
  const tree = new Set(listTree(host, pid));
  const others = listOccupants(host.cgroupFs, owner).filter((occupant) => !tree.has(occupant));
  if (others.length === 0) return undefined;
  const shown = others.slice(0, 5).map((other) => (other === 0 ? "one that is not visible here" : other));
  return `${owner} contains other processes: PID ${shown.join(", ")}${others.length > 5 ? ", …" : ""}`;
}

function planScopeFor(
  context: Context,
  pid: number,
  hierarchy: Hierarchy,
  cgroupPath: string,
  owner: string,
  spec: ScopeSpec,
): PlannedPlace {
  const { host } = context;
  const refuse = (because: string): Refusal =>
    new Refusal(`cannot move process ${pid} to a scope: ${because}`, "--placement auto, in-place or nested");
  const namespace = foreignNamespace(host, pid);
  if (namespace !== undefined)
    throw refuse(`it is in a container (its ${namespace} namespace is another), and would leave its limits`);
  if (hierarchy.isReadOnly) throw refuse(`${hierarchy.mountPoint} is mounted read-only here`);
  if (readType(host.cgroupFs, owner) === undefined) throw refuse(`${owner} is the root of all cgroups`);
  if (!host.bus) {
    const place = planBeside(host, hierarchy, cgroupPath);
    if (typeof place === "string") throw refuse(place);
    return { place };
  }
  const unit = parseUnitPlace(cgroupPath);
  const isRoot = (process.geteuid?.() ?? 0) === 0;
  if (isRoot && unit && (unit.below.length > 0 || isDelegated(host, unit.unit)))
    throw refuse(`${unit.unit} is delegated to a container or another manager, and it would leave that`);
  if (unit?.unit.endsWith(".scope") && whyNotInPlace(host, owner, pid) === undefined)
    throw refuse(`systemd removes ${unit.unit} when its last process leaves, and it could not be moved back`);
  const scope = planJobScope(context, cgroupPath, spec);
  if (typeof scope === "string") throw refuse(scope);
  const filters = findUnitFilters(host.bus, cgroupPath);
  if (filters !== undefined) throw refuse(filters);
  const directory = directoryOf(hierarchy, scope.cgroupPath);
  if (directory === undefined) throw refuse(`${scope.cgroupPath} is not visible here`);
  return { place: { placedAs: "scope", scope: directory }, scope };
}

/** A unit that systemd gives no answer about counts as delegated. */
function isDelegated({ bus }: Host, unit: string): boolean {
  const type = unit.endsWith(".scope") ? "Scope" : "Service";
  const answer = bus?.readProperties("system", unit, type, ["Delegate"]);
  return !answer || "reason" in answer || answer.values[0] !== false;
}

/** A user who may not read the namespaces of a process may not move it either. */
function foreignNamespace(host: Host, pid: number): string | undefined {
  return ["pid", "cgroup"].find((kind) => {
    const [its, own] = [pid, "self"].map((each) => readLink(host, `${each}/ns/${kind}`));
    return its !== undefined && own !== undefined && its !== own;
  });
}
