import { type Limits, propertiesOf } from "../../limits/limits.ts";
import { numberProperty } from "../../limits/systemdProperties.ts";
import type { Bus, Manager } from "../systemdBus.ts";

/** The plan of a scope: its manager, its place and the limits that it carries. */
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
 * Starts a scope with one process in it. The scope is delegated: systemd changes nothing below it, neither on
 * daemon-reload nor through set-property, and an OOM kill inside does not stop the other processes. systemd
 * removes it even after a failure, so that the name is free again. Returns why systemd refused; `undefined`
 * means only that the start is in progress.
 */
export function startScope(bus: Bus, plan: ScopePlan, pid: number, description: string): string | undefined {
  const properties = [
    ["PIDs", "au", "1", String(pid)],
    ["Slice", "s", plan.slice],
    ["Description", "s", description],
    ["DelegateControllers", "as", String(plan.controllers.length), ...plan.controllers],
    ["CollectMode", "s", "inactive-or-failed"],
    ...propertiesOf(plan.carried),
    ...(plan.carriedSwapBytes === undefined ? [] : numberProperty("MemorySwapMax")(plan.carriedSwapBytes)),
  ];
  const answer = bus.callManager(plan.manager, [
    ...["StartTransientUnit", "ssa(sv)a(sa(sv))", plan.unit, "fail"],
    ...[String(properties.length), ...properties.flat(), "0"],
  ]);
  return "reason" in answer ? answer.reason : undefined;
}
