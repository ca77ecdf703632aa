import { cgroupPathOf } from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { Bus } from "../../linux/systemdBus.ts";
import type { Context } from "../context.ts";
import { unitsHierarchy } from "./jobScope.ts";

/**
 * Removes from a plan the controllers that an operator has disabled for everything in a slice (DisableControllers=, see
 * systemd.resource-control(5)). The kernel would let ffrtmp enable them; systemd would disable them again, with the limits.
 * Call before the plan is executed. Asks systemd only about slices whose controllers the plan would enable. A slice that
 * systemd gives no answer about counts as one without the setting, which is rare.
 */
export function respectDisabled(context: Context, cgroup: JobCgroup): void {
  const { bus } = context.host;
  const hierarchy = unitsHierarchy(context);
  if (!bus || !hierarchy) return;
  const disabled = new Map<string, string[]>();
  for (const change of cgroup.changes) {
    if (change.kind !== "controller-enabled" || change.hierarchy !== hierarchy.key) continue;
    const slice = sliceOf(cgroupPathOf(hierarchy, change.path));
    if (slice === undefined) continue;
    const names = disabled.get(slice) ?? readDisabled(bus, slice);
    disabled.set(slice, names);
    if (names.includes(change.controller)) leaveOut(cgroup, hierarchy.key, change.controller, slice);
  }
}

function leaveOut(cgroup: JobCgroup, hierarchy: string, controller: string, slice: string): void {
  cgroup.unavailable.push({ controller, because: `${slice} disables it (DisableControllers=)` });
  cgroup.changes = cgroup.changes.filter(
    (change) => !(change.kind === "controller-enabled" && change.controller === controller),
  );
  for (const directory of cgroup.directories) {
    if (directory.hierarchy.key !== hierarchy) continue;
    directory.controllers = directory.controllers.filter(({ name }) => name !== controller);
  }
}

/** Returns the slice of the machine's own manager at a cgroup path; `undefined` for any other cgroup. */
// /system.slice
function sliceOf(cgroupPath: string): string | undefined {
  const parts = cgroupPath.split("/").filter(Boolean);
  return parts.every((part) => part.endsWith(".slice")) ? (parts.at(-1) ?? "-.slice") : undefined;
}

// as 2 "cpu" "memory"
function readDisabled(bus: Bus, slice: string): string[] {
  const read = bus.readProperties("system", slice, "Slice", ["DisableControllers"]);
  return "reason" in read ? [] : [...read.answer.matchAll(/"(\w+)"/g)].map(([, name]) => name as string);
}
