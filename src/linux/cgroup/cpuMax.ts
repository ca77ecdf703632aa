import type { CpuMax } from "../../limits/grammar.ts";
import { formatLimit } from "../../limits/limits.ts";
import { limitedByAncestor, tightestAbove } from "./constraints.ts";
import type { CgroupDirectory, WriteResult } from "./file.ts";
import { compareReadBack, type FileWrite, type PlanLimit } from "./limitPlan.ts";

/** How one cgroup version keeps a CPU quota. */
interface QuotaFiles {
  /** The cores that a cgroup's quota allows; `undefined` without a quota. */
  readCores(directory: CgroupDirectory): number | undefined;
  writes(directory: CgroupDirectory, max: CpuMax): FileWrite[];
  /** As `QUOTA PERIOD`. */
  readBack(directory: CgroupDirectory): WriteResult;
}

/** Plans a CPU quota, which v1 and v2 keep in different files. */
export function planCpuMax({ readCores, writes, readBack }: QuotaFiles): PlanLimit {
  return (directory, { cpuMax }) => {
    const max = cpuMax as CpuMax;
    const wanted = formatLimit({ cpuMax: max }, "cpu.max") as string;
    const cores = max.quotaUsec === "max" ? Number.POSITIVE_INFINITY : max.quotaUsec / max.periodUsec;
    // On v1 the kernel answers EINVAL to a quota above the parent's.
    const above = tightestAbove(directory, readCores);
    if (above && above.value <= cores) {
      return limitedByAncestor("cpu.max", wanted, { text: `${above.value} cores`, path: above.path });
    }
    return {
      writes: writes(directory, max),
      isAtomic: true,
      verify: (written) => compareReadBack("cpu.max", wanted, readBack(written), (text) => text === wanted),
    };
  };
}
