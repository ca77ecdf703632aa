import type { CpuMax } from "../../../limits/grammar.ts";
import type { CgroupController } from "../controller.ts";
import { addQuotaPeriods, cpuMaxFiles } from "../cpuMax.ts";
import { cpuIdle, withIdle } from "../cpuShare.ts";
import { type CgroupDirectory, readCgroupFile } from "../file.ts";
import { type FileWrite, numberFile } from "../limitFiles.ts";
import { weightFileOf } from "../weightFile.ts";
import { usageV1 } from "./usage.ts";

const SHARES = weightFileOf({ version: 1 });
const QUOTA = "cpu.cfs_quota_us";
const PERIOD = "cpu.cfs_period_us";

/** cgroup v1 `cpu`: Documentation/scheduler/sched-bwc.rst and sched-design-CFS.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  // In a cgroup of its own a job competes with the threads beside it as one of them: see planJobCgroup.
  isOnDemand: true,
  limits: {
    "cpu.max": cpuMaxFiles([QUOTA, PERIOD], quotaWrites),
    "cpu.weight": withIdle(
      numberFile("cpu.weight", {
        file: SHARES.file,
        untouched: "1024",
        toFile: (weight) => Number(SHARES.toText(weight)),
        fromFile: (shares) => SHARES.fromText(String(shares)),
        qualify: (outcome) =>
          outcome.outcome === "applied" || outcome.outcome === "partial"
            ? { ...outcome, actual: `${outcome.actual} shares` }
            : outcome,
      }),
    ),
    "cpu.idle": cpuIdle,
  },
  usage: usageV1.cpu,
  counters(directory, known) {
    addQuotaPeriods(readCgroupFile(directory, "cpu.stat") ?? "", known);
  },
};

/**
 * A longer period is written before the quota, a shorter one after it. Between the two writes the limit is tighter than
 * before and after, so that nothing is loosened and no parent's quota is exceeded.
 */
function quotaWrites(max: CpuMax, directory: CgroupDirectory): FileWrite[] {
  const period = { file: PERIOD, data: String(max.periodUsec) };
  const quota = { file: QUOTA, data: max.quotaUsec === "max" ? "-1" : String(max.quotaUsec) };
  const isLonger = max.periodUsec >= Number(readCgroupFile(directory, PERIOD) ?? 0);
  return isLonger ? [period, quota] : [quota, period];
}
