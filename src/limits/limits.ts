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
