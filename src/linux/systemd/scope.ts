import { type Limits, propertiesOf } from "../../limits/limits.ts";
import { numberProperty } from "../../limits/systemdProperties.ts";
import type { Bus, Manager } from "../systemdBus.ts";

/** A scope that is to be made: whose manager makes it, where, and what it is to hold to. */
export interface ScopePlan {
  manager: Manager;
  /** `ffrtmp-1f3a9c-transcode-001.scope` */
  unit: string;
  slice: string;
  /** Where its cgroup will lie: the path as /proc/PID/cgroup names it. */
  cgroupPath: string;
  /** The controllers that are handed to what lies in it, and that systemd switches on all the way down for that. */
  controllers: string[];
  /** Limits of the cgroup that its processes come from and that they would leave behind otherwise. */
  carried: Limits;
  /** The same for memory.swap.max, in bytes; `undefined` without one. */
  carriedSwapBytes: number | undefined;
}

/**
 * Starts a scope with one process in it. Delegated: systemd never touches what is below it, neither with daemon-reload
 * nor with set-property, and an OOM kill inside does not end the rest. Collected even after a failure, so that its name
 * is free again. Returns why it was refused; success means only that systemd has begun.
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
