import { basename, dirname } from "node:path";
import { addUsage, type Usage } from "../../limits/usage.ts";
import type { CgroupRequest } from "../../linux/cgroup/backend.ts";
import { readWords } from "../../linux/cgroup/file.ts";
import { findJobCgroup } from "../../linux/cgroup/findJobCgroup.ts";
import {
  ancestorsOf,
  cgroupPathOf,
  type Hierarchy,
  type Membership,
} from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { readUsage } from "../../linux/cgroup/jobUsage.ts";
import { planJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import type { Bus } from "../../linux/systemdBus.ts";
import type { Context } from "../context.ts";
import { type Tenant, tenantGroupName } from "../job.ts";
import type { Job } from "../model/job.ts";
import { groupName } from "../model/jobId.ts";
import { unitsHierarchy } from "./jobScope.ts";

/** Finds the job's cgroup as it is in the system now. */
export function jobCgroupOf(context: Context, job: Job): JobCgroup {
  return findJobCgroup(context.host.cgroupFs, context.hierarchies, job);
}

/** Plans the cgroup of a job for processes that are in the cgroups of `membership`. Writes nothing. */
export function planCgroup(
  { host, hierarchies, state: { tag }, ledger }: Context,
  jobId: string,
  membership: Membership,
  { tenant, ...request }: Omit<CgroupRequest, "name" | "tenant" | "shared"> & { tenant: Tenant | null },
): JobCgroup {
  return planJobCgroup(host.cgroupFs, hierarchies, membership, {
    ...request,
    name: groupName(tag, jobId),
    tenant: tenant ? { name: tenantGroupName(tag, tenant.name), limits: tenant.limits } : undefined,
    shared: () => ledger.sharedChanges(),
  });
}

/** Reads what the job has used since it is governed, in its cgroup and in those that it was moved out of. */
export function usageOf({ carriedUsage }: Job, cgroup: JobCgroup): Usage {
  const usage = readUsage(cgroup);
  return carriedUsage === null ? usage : addUsage(carriedUsage, usage);
}

/**
 * Removes from a plan the controllers that an operator has disabled for everything in a slice (DisableControllers=, see
 * systemd.resource-control(5)). The kernel would let ffrtmp enable them; systemd would disable them again, with the limits.
 * Call before the plan is executed. Asks systemd only about slices whose controllers the plan would enable, and about those
 * around the job's own scope where systemd has not given it a controller. A slice without an answer counts as one without
 * the setting, which is rare.
 */
export function respectDisabled(context: Context, cgroup: JobCgroup): void {
  const { bus } = context.host;
  const hierarchy = unitsHierarchy(context);
  if (!bus || !hierarchy) return;
  const disabled = new Map<string, string[]>();
  const isDisabledBy = (slice: string, controller: string): boolean => {
    const names = disabled.get(slice) ?? readDisabled(bus, slice);
    disabled.set(slice, names);
    return names.includes(controller);
  };
  for (const { path, controller } of [...enabledBy(cgroup, hierarchy), ...notGiven(cgroup, hierarchy)]) {
    const slice = sliceOf(cgroupPathOf(hierarchy, path));
    if (slice === undefined || !isDisabledBy(slice, controller)) continue;
    cgroup.unavailable.push({ controller, because: `${slice} disables it (DisableControllers=)` });
    cgroup.changes = cgroup.changes.filter(
      (each) => each.kind !== "controller-enabled" || each.controller !== controller,
    );
    for (const directory of cgroup.directories) {
      if (directory.hierarchy.key !== hierarchy.key) continue;
      directory.controllers = directory.controllers.filter(({ name }) => name !== controller);
    }
  }
}

interface ControllerAt {
  /** The directory of a cgroup that gives the controller to its children, or does not. */
  path: string;
  controller: string;
}

function enabledBy({ changes }: JobCgroup, { key }: Hierarchy): ControllerAt[] {
  return changes
    .filter((change) => change.kind === "controller-enabled")
    .filter((each) => each.hierarchy === key);
}

/** Returns the controllers that the job's own scope lacks, with each cgroup above it. */
function notGiven({ fs, directories }: JobCgroup, hierarchy: Hierarchy): ControllerAt[] {
  return directories.flatMap(({ hierarchy: { key }, path, controllers }) => {
    const scope = dirname(path);
    if (key !== hierarchy.key || basename(scope) !== `${basename(path)}.scope`) return [];
    const given = readWords(fs, `${scope}/cgroup.controllers`);
    // Before systemd has started the scope, it has no file.
    const missing = given.length === 0 ? [] : controllers.filter(({ name }) => !given.includes(name));
    const above = missing.length === 0 ? [] : ancestorsOf(hierarchy, scope);
    return above.flatMap((each) => missing.map(({ name }) => ({ path: each, controller: name })));
  });
}

// /system.slice/system-getty.slice   ← of the machine's own manager; `undefined` for any other cgroup
function sliceOf(cgroupPath: string): string | undefined {
  const parts = cgroupPath.split("/").filter(Boolean);
  return parts.every((part) => part.endsWith(".slice")) ? (parts.at(-1) ?? "-.slice") : undefined;
}

function readDisabled(bus: Bus, slice: string): string[] {
  const read = bus.readProperties("system", slice, "Slice", ["DisableControllers"]);
  return "reason" in read ? [] : (read.values[0] as string[]);
}
