import { parseCpuList } from "../../limits/cpuList.ts";
import type { Limits } from "../../limits/limits.ts";
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
    ...carriedProperties(plan),
  ];
  const answer = bus.callManager(plan.manager, [
    ...["StartTransientUnit", "ssa(sv)a(sa(sv))", plan.unit, "fail"],
    ...[String(properties.length), ...properties.flat(), "0"],
  ]);
  return "reason" in answer ? answer.reason : undefined;
}

/** The names and types are those of systemd.resource-control(5) on the bus: org.freedesktop.systemd1(5). */
function carriedProperties({ carried, carriedSwapBytes }: ScopePlan): string[][] {
  const { cpuMax, cpuWeight, memoryHighBytes, memoryMaxBytes, pidsMax, cpus, ioMax = [] } = carried;
  const properties: string[][] = [];
  const addNumber = (name: string, value: number | undefined): void => {
    if (value !== undefined) properties.push([name, "t", String(value)]);
  };
  if (cpuMax && cpuMax.quotaUsec !== "max") {
    addNumber("CPUQuotaPerSecUSec", Math.floor((cpuMax.quotaUsec * 1e6) / cpuMax.periodUsec));
    addNumber("CPUQuotaPeriodUSec", cpuMax.periodUsec);
  }
  addNumber("CPUWeight", cpuWeight);
  addNumber("MemoryHigh", memoryHighBytes);
  addNumber("MemoryMax", memoryMaxBytes);
  addNumber("MemorySwapMax", carriedSwapBytes);
  addNumber("TasksMax", pidsMax);
  if (cpus !== undefined) {
    const mask = cpuMask(cpus);
    properties.push(["AllowedCPUs", "ay", String(mask.length), ...mask.map(String)]);
  }
  for (const [rate, name] of IO_PROPERTIES) {
    const held = ioMax.flatMap((max) => (typeof max[rate] === "number" ? [[max.device, max[rate]]] : []));
    if (held.length === 0) continue;
    const words = held.flatMap(([device, value]) => [`/dev/block/${device}`, String(value)]);
    properties.push([name, "a(st)", String(held.length), ...words]);
  }
  return properties;
}

const IO_PROPERTIES = [
  ["rbps", "IOReadBandwidthMax"],
  ["wbps", "IOWriteBandwidthMax"],
  ["riops", "IOReadIOPSMax"],
  ["wiops", "IOWriteIOPSMax"],
] as const;

/** One bit for each CPU, the first byte holds CPU 0 to 7. */
function cpuMask(list: string): number[] {
  const cpus = parseCpuList(list) ?? [];
  const mask = new Array<number>(Math.floor((cpus.at(-1) ?? 0) / 8) + 1).fill(0);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return mask;
}
