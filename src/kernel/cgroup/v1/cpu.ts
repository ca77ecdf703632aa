import type { CpuMax } from "../../limits.ts";
import { wantedText } from "../../limits.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { heldAbove, judgeWrite, readCounters, readNumber, tightestAbove, writeKnob } from "../knob.ts";

/** cgroup v1 `cpu`: Documentation/scheduler/sched-bwc.rst and sched-design-CFS.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  measures: true,
  apply: {
    "cpu.max"(directory, { cpuMax }) {
      const max = cpuMax as CpuMax;
      const wanted = wantedText({ cpuMax: max }, "cpu.max") as string;
      const cores = max.quotaUsec === "max" ? Number.POSITIVE_INFINITY : max.quotaUsec / max.periodUsec;
      // A child's quota above its parent's is not only without effect: the kernel answers EINVAL.
      const above = tightestAbove(directory, readCores);
      if (above && above.value <= cores) {
        return heldAbove("cpu.max", wanted, { text: `${above.value} cores`, path: above.path });
      }
      const write = writeQuota(directory, max);
      return judgeWrite("cpu.max", wanted, write, (readBack) => readBack === wanted);
    },
    "cpu.weight"(directory, { cpuWeight }) {
      const weight = cpuWeight as number;
      const shares = Math.max(2, Math.round((weight * 1024) / 100));
      const write = writeKnob(directory, "cpu.shares", String(shares));
      const outcome = judgeWrite(
        "cpu.weight",
        String(weight),
        write,
        (readBack) => readBack === String(shares),
      );
      return outcome.actual === undefined ? outcome : { ...outcome, actual: `${outcome.actual} shares` };
    },
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

/** Period before quota: in a new group the quota is still "none", so no write in between can loosen or be refused. */
function writeQuota(directory: CgroupDirectory, max: CpuMax): ReturnType<typeof writeKnob> {
  const period = writeKnob(directory, "cpu.cfs_period_us", String(max.periodUsec));
  if ("refusal" in period) return period;
  const quota = writeKnob(
    directory,
    "cpu.cfs_quota_us",
    max.quotaUsec === "max" ? "-1" : String(max.quotaUsec),
  );
  if ("refusal" in quota) return quota;
  const actual = quota.readBack === "-1" ? "max" : quota.readBack;
  return { readBack: `${actual} ${period.readBack}` };
}
