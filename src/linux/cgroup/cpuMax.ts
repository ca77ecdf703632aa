import type { Counters } from "../../limits/counters.ts";
import type { CpuMax } from "../../limits/grammar.ts";
import { limitedByAncestor, tightestAbove } from "./constraints.ts";
import { type CgroupDirectory, counterIn, readBack, type WriteResult } from "./file.ts";
import { compareReadBack, type FileWrite, type LimitFiles } from "./limitFiles.ts";

/** The period of a new cgroup: sched-bwc.rst. */
export const DEFAULT_PERIOD_USEC = 100_000;

/** A CPU quota. `files` contain together the quota and the period: v1 has a file for each. */
export function cpuMaxFiles(
  files: readonly string[],
  writes: (max: CpuMax, directory: CgroupDirectory) => FileWrite[],
): LimitFiles<CpuMax> {
  // 50000 100000
  // max 100000     v1: -1 100000
  const readQuota = (directory: CgroupDirectory): WriteResult => {
    const result = readBack(directory, ...files);
    return "refusal" in result ? result : { readBack: result.readBack.replace(/^-1 /, "max ") };
  };
  const read = (directory: CgroupDirectory): CpuMax | undefined => {
    const result = readQuota(directory);
    const [quotaUsec, periodUsec] = "refusal" in result ? [] : result.readBack.split(" ").map(Number);
    return quotaUsec && periodUsec ? { quotaUsec, periodUsec } : undefined;
  };
  return {
    plan(directory, max, wanted) {
      // On v1 the kernel answers EINVAL to a quota above the parent's.
      const above = tightestAbove(directory, "cpu.max", (cgroup) => coresOf(read(cgroup)));
      if (above && above.value <= (coresOf(max) ?? Number.POSITIVE_INFINITY))
        return limitedByAncestor("cpu.max", wanted, `${above.value} cores`, above.path);
      return {
        writes: writes(max, directory),
        isAtomic: true,
        verify: (written) =>
          compareReadBack("cpu.max", wanted, readQuota(written), (text) => text === wanted),
      };
    },
    lift: (directory) => writes({ quotaUsec: "max", periodUsec: DEFAULT_PERIOD_USEC }, directory),
    read,
  };
}

function coresOf(max: CpuMax | undefined): number | undefined {
  return max === undefined || max.quotaUsec === "max" ? undefined : max.quotaUsec / max.periodUsec;
}

// nr_periods 11
// nr_throttled 9
/** Adds counters of cpu.stat, which has these lines on v1 and v2: sched-bwc.rst. A cgroup without a quota counts no periods. */
export function addQuotaPeriods(stat: string, known: Counters): void {
  known.quotaPeriods ??= counterIn(stat, "nr_periods") ?? null;
  known.throttledPeriods ??= counterIn(stat, "nr_throttled") ?? null;
}
