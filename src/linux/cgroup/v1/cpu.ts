import type { CpuMax } from "../../../limits/grammar.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { applyCpuMax } from "../cpuMax.ts";
import {
  compareReadBack,
  readCgroupFile,
  readCounters,
  readNumber,
  type WriteResult,
  writeCgroupFile,
} from "../file.ts";

/** What a new cgroup has: sched-bwc.rst. */
const DEFAULT_PERIOD_USEC = 100_000;

/** cgroup v1 `cpu`: Documentation/scheduler/sched-bwc.rst and sched-design-CFS.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  measures: true,
  apply: {
    "cpu.max": (directory, limits) =>
      applyCpuMax(directory, limits, readCores, (max) => writeQuota(directory, max)),
    "cpu.weight"(directory, { cpuWeight }) {
      const weight = cpuWeight as number;
      const shares = Math.max(2, Math.round((weight * 1024) / 100));
      const write = writeCgroupFile(directory, "cpu.shares", String(shares));
      const outcome = compareReadBack(
        "cpu.weight",
        String(weight),
        write,
        (readBack) => readBack === String(shares),
      );
      return outcome.actual === undefined ? outcome : { ...outcome, actual: `${outcome.actual} shares` };
    },
  },
  lift: {
    "cpu.max": (directory) => writeQuota(directory, { quotaUsec: "max", periodUsec: DEFAULT_PERIOD_USEC }),
    "cpu.weight": (directory) => writeCgroupFile(directory, "cpu.shares", "1024"),
  },
  read(directory) {
    const quotaUsec = readNumber(directory, "cpu.cfs_quota_us");
    const periodUsec = readNumber(directory, "cpu.cfs_period_us");
    const shares = readNumber(directory, "cpu.shares");
    return {
      ...(quotaUsec === undefined || periodUsec === undefined ? {} : { cpuMax: { quotaUsec, periodUsec } }),
      ...(shares === undefined ? {} : { cpuWeight: Math.round((shares * 100) / 1024) }),
    };
  },
  usage(directory) {
    const throttledNsec = readCounters(directory, "cpu.stat").get("throttled_time");
    return { throttledUsec: throttledNsec === undefined ? null : Math.round(throttledNsec / 1000) };
  },
};

/** Cores that a cgroup's quota allows; `undefined` without a quota. */
function readCores(directory: CgroupDirectory): number | undefined {
  const quotaUsec = readNumber(directory, "cpu.cfs_quota_us");
  const periodUsec = readNumber(directory, "cpu.cfs_period_us");
  return quotaUsec === undefined || !periodUsec ? undefined : quotaUsec / periodUsec;
}

/**
 * A longer period is written before the quota, a shorter one after it: what holds between the two writes is tighter
 * than what was or what will be, so that nothing is loosened and no parent's quota is exceeded.
 */
function writeQuota(directory: CgroupDirectory, max: CpuMax): WriteResult {
  const period = { file: "cpu.cfs_period_us", data: String(max.periodUsec) };
  const quota = { file: "cpu.cfs_quota_us", data: max.quotaUsec === "max" ? "-1" : String(max.quotaUsec) };
  const isLonger = max.periodUsec >= (readNumber(directory, period.file) ?? 0);
  const first = isLonger ? period : quota;
  const second = isLonger ? quota : period;

  const before = readCgroupFile(directory, first.file);
  const firstWrite = writeCgroupFile(directory, first.file, first.data);
  if ("refusal" in firstWrite) return firstWrite;
  const secondWrite = writeCgroupFile(directory, second.file, second.data);
  if ("refusal" in secondWrite) {
    if (before !== undefined) writeCgroupFile(directory, first.file, before);
    return secondWrite;
  }
  const held = readCgroupFile(directory, quota.file);
  return { readBack: `${held === "-1" ? "max" : held} ${readCgroupFile(directory, period.file)}` };
}
