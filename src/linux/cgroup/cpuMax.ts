import type { CpuMax, Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { wantedText } from "../../limits/table.ts";
import type { CgroupDirectory } from "./controller.ts";
import { compareReadBack, limitedByAncestor, tightestAbove, type WriteResult } from "./file.ts";

/**
 * Applies a CPU quota, which v1 and v2 keep in different files: `readCores` gives the cores that a cgroup's quota
 * allows, `write` sets it and reads it back as `QUOTA PERIOD`.
 */
export function applyCpuMax(
  directory: CgroupDirectory,
  { cpuMax }: Limits,
  readCores: (directory: CgroupDirectory) => number | undefined,
  write: (max: CpuMax, wanted: string) => WriteResult,
): LimitOutcome {
  const max = cpuMax as CpuMax;
  const wanted = wantedText({ cpuMax: max }, "cpu.max") as string;
  const cores = max.quotaUsec === "max" ? Number.POSITIVE_INFINITY : max.quotaUsec / max.periodUsec;
  // On v1 a child's quota above its parent's is not only without effect: the kernel answers EINVAL.
  const above = tightestAbove(directory, readCores);
  if (above && above.value <= cores) {
    return limitedByAncestor("cpu.max", wanted, { text: `${above.value} cores`, path: above.path });
  }
  return compareReadBack("cpu.max", wanted, write(max, wanted), (readBack) => readBack === wanted);
}
