import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { applyCpuMax } from "../cpuMax.ts";
import {
  compareReadBack,
  constrainingCgroups,
  limitedByAncestor,
  readCgroupFile,
  readCounters,
  readNumber,
  writeCgroupFile,
} from "../file.ts";

/** cgroup v2 `cpu`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  measures: true,
  apply: {
    "cpu.max": (directory, limits) =>
      applyCpuMax(directory, limits, readCores, (_max, wanted) =>
        writeCgroupFile(directory, "cpu.max", wanted),
      ),
    "cpu.weight"(directory, { cpuWeight }) {
      const wanted = String(cpuWeight);
      const [owners] = directory.ownersHeld ? constrainingCgroups(directory) : [];
      const held = owners && readNumber(owners, "cpu.weight");
      if (owners && held !== undefined && held <= (cpuWeight as number)) {
        return limitedByAncestor("cpu.weight", wanted, { text: String(held), path: owners.path });
      }
      return compareReadBack(
        "cpu.weight",
        wanted,
        writeCgroupFile(directory, "cpu.weight", wanted),
        (readBack) => readBack === wanted,
      );
    },
  },
  lift: {
    "cpu.max": (directory) => writeCgroupFile(directory, "cpu.max", "max 100000"),
    "cpu.weight": (directory) => writeCgroupFile(directory, "cpu.weight", "100"),
  },
  read(directory) {
    const [quota, period] = readCgroupFile(directory, "cpu.max")?.split(" ").map(Number) ?? [];
    const cpuWeight = readNumber(directory, "cpu.weight");
    return {
      ...(quota && period ? { cpuMax: { quotaUsec: quota, periodUsec: period } } : {}),
      ...(cpuWeight === undefined ? {} : { cpuWeight }),
    };
  },
  forgets: ["throttledUsec"],
  usage(directory) {
    // The usage lines are there in every cgroup; the throttling lines only where the controller is on.
    const counters = readCounters(directory, "cpu.stat");
    return {
      cpuUserUsec: counters.get("user_usec") ?? null,
      cpuSystemUsec: counters.get("system_usec") ?? null,
      throttledUsec: counters.get("throttled_usec") ?? null,
    };
  },
};

// 50000 100000
// max 100000
function readCores(directory: CgroupDirectory): number | undefined {
  const [quota, period] = readCgroupFile(directory, "cpu.max")?.split(" ") ?? [];
  return quota === undefined || quota === "max" || !period ? undefined : Number(quota) / Number(period);
}
