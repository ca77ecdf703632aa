/** What may be asked for one workload. An absent field was not asked for. */
export interface Limits {
  /** CPU time per period, µs each. A quota of 100,000 in a period of 100,000 is one core. */
  cpuMax?: CpuMax;
  /** 1–10000; 100 is what a cgroup has when nobody sets it. */
  cpuWeight?: number;
  /** Soft: the kernel reclaims and slows above it, and never kills for it. */
  memoryHighBytes?: number;
  /** Hard: the kernel may OOM-kill inside the workload at it. */
  memoryMaxBytes?: number;
  ioMax?: IoMax[];
  pidsMax?: number;
  /** A list as in cpuset.cpus: `0-3,8`. */
  cpus?: string;
  /** −20 (most favoured) to 19. */
  nice?: number;
  ionice?: IoPriority;
  /** −1000 (never) to 1000 (first), as in /proc/PID/oom_score_adj. */
  oomScoreAdj?: number;
}

export interface CpuMax {
  quotaUsec: number | "max";
  periodUsec: number;
}

/** Rates for one block device; an absent rate was not asked for. */
export interface IoMax {
  /** `major:minor` of a whole disk. */
  device: string;
  /** Bytes per second. */
  rbps?: number | "max";
  wbps?: number | "max";
  /** Operations per second. */
  riops?: number | "max";
  wiops?: number | "max";
}

export const IO_RATES = ["rbps", "wbps", "riops", "wiops"] as const;

export interface IoPriority {
  class: "realtime" | "best-effort" | "idle";
  /** 0 (first) to 7 (last); without meaning for `idle`. */
  level: number;
}

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

/** What became of one limit that was asked for, as read back from the kernel after the write. */
export interface LimitOutcome {
  limit: LimitName;
  outcome: "applied" | "partial" | "refused" | "unsupported";
  wanted: string;
  /** What the kernel holds now; absent when nothing could be read. */
  actual?: string;
  /** How it is partial, why it was refused, what is missing, or what held already. */
  because?: string;
  /** The cgroup further up that holds it as tight or tighter, so that nothing was written. */
  heldBy?: string;
  /** Whose limit it is: absent, the job's own; `tenant`, the total of all jobs of its tenant. */
  of?: "tenant";
}

/** What is to be said of a limit that was written where it does not reach the workload. */
export function refusedInstead({ limit, of, wanted }: LimitOutcome, because: string): LimitOutcome {
  return { limit, ...(of ? { of } : {}), outcome: "refused", wanted, because };
}

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
