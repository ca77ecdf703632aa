import { cgroupPathOf } from "../../linux/cgroup/hierarchies.ts";
import type { JobCgroup, JobDirectory } from "../../linux/cgroup/jobCgroup.ts";
import type { Bus } from "../../linux/systemdBus.ts";
import type { Context } from "../context.ts";
import { unitsHierarchy } from "./jobScope.ts";

/**
 * Leaves a job without the controllers that an operator keeps from everything in a slice (DisableControllers=, see
 * systemd.resource-control(5)). The kernel would let us switch them on; systemd would switch them off again, with the limits.
 * To be called on a plan, before anything is made. Asks only about slices in which something is off that the job needs;
 * what cannot be asked counts as not set, because it seldom is.
 */
export function respectDisabled(context: Context, cgroup: JobCgroup): void {
  const { bus } = context.host;
  const hierarchy = unitsHierarchy(context);
  if (!bus || !hierarchy) return;
  for (const directory of cgroup.directories) {
    if (directory.hierarchy.key !== hierarchy.key) continue;
    for (const { path, controllers } of directory.enabledAbove) {
      const slice = sliceOf(cgroupPathOf(hierarchy, path));
      const disabled = slice === undefined ? [] : readDisabled(bus, slice);
      const kept = controllers.filter((name) => disabled.includes(name));
      if (kept.length === 0) continue;
      const because = `${slice} keeps it from what lies in it (DisableControllers=)`;
      cgroup.unavailable.push(...kept.map((controller) => ({ controller, because })));
      leaveOut(directory, kept);
    }
  }
}

/** The slice of the machine's own manager that a cgroup path is; `undefined` for anything else. */
// /system.slice
function sliceOf(cgroupPath: string): string | undefined {
  const parts = cgroupPath.split("/").filter(Boolean);
  if (!parts.every((part) => part.endsWith(".slice"))) return undefined;
  return parts.at(-1) ?? "-.slice";
}

// as 2 "cpu" "memory"
function readDisabled(bus: Bus, slice: string): string[] {
  const read = bus.readProperties("system", slice, "Slice", ["DisableControllers"]);
  return "reason" in read ? [] : [...read.answer.matchAll(/"(\w+)"/g)].map(([, name]) => name as string);
}

function leaveOut(directory: JobDirectory, names: readonly string[]): void {
  const isLeft = (name: string): boolean => !names.includes(name);
  directory.controllers = directory.controllers.filter(({ name }) => isLeft(name));
  directory.enabled = directory.enabled.filter(isLeft);
  directory.enabledAbove = directory.enabledAbove.flatMap(({ path, controllers }) => {
    const left = controllers.filter(isLeft);
    return left.length === 0 ? [] : [{ path, controllers: left }];
  });
}
