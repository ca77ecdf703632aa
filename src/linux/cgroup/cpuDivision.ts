import { parseCpuList } from "../../limits/grammar.ts";
import { controllersOf } from "./backends.ts";
import { readOwnLimits } from "./effectiveLimits.ts";
import { type CgroupDirectory, type CgroupFiles, readCgroupFile, readNumber } from "./file.ts";

/** The part of the CPU time that a cgroup can have. */
export interface CpuShare {
  /** cpu.weight: 100 is that of a new cgroup. On v1 not rounded, because cpu.shares are finer. */
  readonly weight: number;
  /** `null`: it has no quota of its own. */
  readonly quotaCores: number | null;
}

/** The weight with cpu.idle, and of a thread of SCHED_IDLE: WEIGHT_IDLEPRIO of kernel/sched/sched.h, 3 of 1024. */
export const IDLE_WEIGHT = (100 * 3) / 1024;

/** cpu.shares of a new cgroup, and the load weight of a thread of nice 0. */
const DEFAULT_SHARES = 1024;

/**
 * Reads weight and quota of a cgroup. `undefined` where the cpu controller does not divide time there: on v2 it is not
 * enabled above, and the threads compete beside those of the cgroup above. Source: cpu.idle from Linux 5.15.
 */
export function readCpuShare(directory: CgroupDirectory): CpuShare | undefined {
  const weight = readNumber(directory, "cpu.weight") ?? weightOfShares(readNumber(directory, "cpu.shares"));
  if (weight === undefined) return undefined;
  const isIdle = readNumber(directory, "cpu.idle") === 1;
  const { cpuMax } = readOwnLimits(controllersOf(directory.hierarchy), directory, ["cpu.max"]);
  const quotaCores =
    cpuMax === undefined || cpuMax.quotaUsec === "max" ? null : cpuMax.quotaUsec / cpuMax.periodUsec;
  return { weight: isIdle ? IDLE_WEIGHT : weight, quotaCores };
}

/** Returns the CPUs that a cgroup may use. `null` where they are not known, as where the cpuset controller is off. */
export function listCpus(directory: CgroupFiles): readonly number[] | null {
  const text =
    readCgroupFile(directory, "cpuset.cpus.effective") ?? readCgroupFile(directory, "cpuset.effective_cpus");
  return parseCpuList(text ?? "") ?? null;
}

/** Returns how many these are. */
export function countCpus(directory: CgroupFiles): number | null {
  return listCpus(directory)?.length ?? null;
}

function weightOfShares(shares: number | undefined): number | undefined {
  return shares === undefined ? undefined : (100 * shares) / DEFAULT_SHARES;
}
