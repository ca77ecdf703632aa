import type { CpuMax } from "../../limits/grammar.ts";
import { limitedByAncestor, tightestAbove } from "./constraints.ts";
import type { CgroupDirectory, WriteResult } from "./file.ts";
import { compareReadBack, type FileWrite, type LimitFiles } from "./limitFiles.ts";

/** The period of a new cgroup: sched-bwc.rst. */
const DEFAULT_PERIOD_USEC = 100_000;

/** The files in which one cgroup version keeps a CPU quota. */
interface QuotaFiles {
  /** Returns `undefined` without a quota. */
  read(directory: CgroupDirectory): CpuMax | undefined;
  writes(directory: CgroupDirectory, max: CpuMax): FileWrite[];
  /** Reads `QUOTA PERIOD`. */
  readBack(directory: CgroupDirectory): WriteResult;
}

export function cpuMaxFiles({ read, writes, readBack }: QuotaFiles): LimitFiles<CpuMax> {
  return {
    plan(directory, max, wanted) {
      // On v1 the kernel answers EINVAL to a quota above the parent's.
      const above = tightestAbove(directory, "cpu.max", (cgroup) => coresOf(read(cgroup)));
      if (above && above.value <= (coresOf(max) ?? Number.POSITIVE_INFINITY))
        return limitedByAncestor("cpu.max", wanted, `${above.value} cores`, above.path);
      return {
        writes: writes(directory, max),
        isAtomic: true,
        verify: (written) => compareReadBack("cpu.max", wanted, readBack(written), (text) => text === wanted),
      };
    },
    lift: (directory) => writes(directory, { quotaUsec: "max", periodUsec: DEFAULT_PERIOD_USEC }),
    read,
  };
}

function coresOf(max: CpuMax | undefined): number | undefined {
  return max === undefined || max.quotaUsec === "max" ? undefined : max.quotaUsec / max.periodUsec;
}
