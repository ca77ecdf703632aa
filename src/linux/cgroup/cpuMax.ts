import type { CpuMax } from "../../limits/grammar.ts";
import { formatLimit, type Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { CgroupDirectory } from "./controller.ts";
import { compareReadBack, limitedByAncestor, tightestAbove, type WriteResult } from "./file.ts";

/**
 * Applies a CPU quota, which is in different files on v1 and v2. `readCores` returns the cores that a cgroup's quota
 * allows; `write` sets the quota and reads it back as `QUOTA PERIOD`.
 */
export function applyCpuMax(
  directory: CgroupDirectory,
  { cpuMax }: Limits,
  readCores: (directory: CgroupDirectory) => number | undefined,
  write: (max: CpuMax, wanted: string) => WriteResult,
): LimitOutcome {
  const max = cpuMax as CpuMax;
  const wanted = formatLimit({ cpuMax: max }, "cpu.max") as string;
  const cores = max.quotaUsec === "max" ? Number.POSITIVE_INFINITY : max.quotaUsec / max.periodUsec;
  // On v1 the kernel rejects a quota above the parent's with EINVAL.
  const above = tightestAbove(directory, readCores);
  if (above && above.value <= cores) {
    return limitedByAncestor("cpu.max", wanted, { text: `${above.value} cores`, path: above.path });
  }
  return compareReadBack("cpu.max", wanted, write(max, wanted), (readBack) => readBack === wanted);
}
