import { IO_RATES, type IoMax, type IoPriority, type Limits } from "./limits.ts";

/** The names under which outcomes are reported: those of cgroup v2 where it has one. */
export type LimitName =
  | "cpu.max"
  | "cpu.weight"
  | "memory.high"
  | "memory.max"
  | "io.max"
  | "pids.max"
  | "cpuset.cpus"
  | "nice"
  | "ionice"
  | "oom_score_adj";

/** The limits that live in cgroup files, in the order in which they are applied. */
export const CGROUP_LIMITS = [
  "cpu.max",
  "cpu.weight",
  "memory.high",
  "memory.max",
  "io.max",
  "pids.max",
  "cpuset.cpus",
] as const satisfies readonly LimitName[];

export const LIMIT_NAMES: readonly LimitName[] = [...CGROUP_LIMITS, "nice", "ionice", "oom_score_adj"];

export type CgroupLimitName = (typeof CGROUP_LIMITS)[number];

/** The value of one limit as a person writes it; `undefined` when it was not asked for. */
export function wantedText(limits: Limits, name: LimitName): string | undefined {
  switch (name) {
    case "cpu.max":
      return limits.cpuMax && `${limits.cpuMax.quotaUsec} ${limits.cpuMax.periodUsec}`;
    case "cpu.weight":
      return limits.cpuWeight?.toString();
    case "memory.high":
      return limits.memoryHighBytes?.toString();
    case "memory.max":
      return limits.memoryMaxBytes?.toString();
    case "io.max":
      return limits.ioMax?.map(ioMaxText).join(", ");
    case "pids.max":
      return limits.pidsMax?.toString();
    case "cpuset.cpus":
      return limits.cpus;
    case "nice":
      return limits.nice?.toString();
    case "ionice":
      return limits.ionice && ionicePriorityText(limits.ionice);
    case "oom_score_adj":
      return limits.oomScoreAdj?.toString();
  }
}

export function ioMaxText(max: IoMax): string {
  const rates = IO_RATES.flatMap((rate) => (max[rate] === undefined ? [] : [`${rate}=${max[rate]}`]));
  return [max.device, ...rates].join(" ");
}

export function ionicePriorityText(priority: IoPriority): string {
  return priority.class === "idle" ? "idle" : `${priority.class}:${priority.level}`;
}
