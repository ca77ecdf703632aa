import type { CpuMax } from "../../../limits/grammar.ts";
import type { CgroupController } from "../controller.ts";
import { planCpuMax } from "../cpuMax.ts";
import { type CgroupDirectory, readBack, readCgroupFile, readCounters, readNumber } from "../file.ts";
import { compareReadBack, type FileWrite } from "../limitPlan.ts";

const QUOTA = "cpu.cfs_quota_us";
const PERIOD = "cpu.cfs_period_us";

/** The period of a new cgroup: sched-bwc.rst. */
const DEFAULT_PERIOD_USEC = 100_000;

/** cgroup v1 `cpu`: Documentation/scheduler/sched-bwc.rst and sched-design-CFS.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  measures: true,
  plan: {
    "cpu.max": planCpuMax({
      readCores,
      writes: quotaWrites,
      readBack(directory) {
        const quota = readBack(directory, QUOTA);
        const period = readBack(directory, PERIOD);
        if ("refusal" in quota) return quota;
        if ("refusal" in period) return period;
        return { readBack: `${quota.readBack === "-1" ? "max" : quota.readBack} ${period.readBack}` };
      },
    }),
    "cpu.weight"(_directory, { cpuWeight }) {
      const weight = cpuWeight as number;
      const shares = String(Math.max(2, Math.round((weight * 1024) / 100)));
      return {
        writes: [{ file: "cpu.shares", data: shares }],
        verify(directory) {
          const read = readBack(directory, "cpu.shares");
          const outcome = compareReadBack("cpu.weight", String(weight), read, (text) => text === shares);
          if (outcome.outcome !== "applied" && outcome.outcome !== "partial") return outcome;
          return { ...outcome, actual: `${outcome.actual} shares` };
        },
      };
    },
  },
  lift: {
    "cpu.max": (directory) => quotaWrites(directory, { quotaUsec: "max", periodUsec: DEFAULT_PERIOD_USEC }),
    "cpu.weight": () => [{ file: "cpu.shares", data: "1024" }],
  },
  read(directory) {
    const quotaUsec = readNumber(directory, QUOTA);
    const periodUsec = readNumber(directory, PERIOD);
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

function readCores(directory: CgroupDirectory): number | undefined {
  const quotaUsec = readNumber(directory, QUOTA);
  const periodUsec = readNumber(directory, PERIOD);
  return quotaUsec === undefined || !periodUsec ? undefined : quotaUsec / periodUsec;
}

/**
 * A longer period is written before the quota, a shorter one after it. Between the two writes the limit is tighter than
 * before and after, so that nothing is loosened and no parent's quota is exceeded.
 */
function quotaWrites(directory: CgroupDirectory, max: CpuMax): FileWrite[] {
  const period = { file: PERIOD, data: String(max.periodUsec) };
  const quota = { file: QUOTA, data: max.quotaUsec === "max" ? "-1" : String(max.quotaUsec) };
  const isLonger = max.periodUsec >= Number(readCgroupFile(directory, PERIOD) ?? 0);
  return isLonger ? [period, quota] : [quota, period];
}
