import { constrainingCgroups, limitedByAncestor } from "../constraints.ts";
import type { CgroupController } from "../controller.ts";
import { planCpuMax } from "../cpuMax.ts";
import { type CgroupDirectory, readBack, readCgroupFile, readCounters, readNumber } from "../file.ts";
import { planFile } from "../limitPlan.ts";

/** cgroup v2 `cpu`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  measures: true,
  plan: {
    "cpu.max": planCpuMax({
      readCores,
      writes: (_directory, { quotaUsec, periodUsec }) => [
        { file: "cpu.max", data: `${quotaUsec} ${periodUsec}` },
      ],
      readBack: (directory) => readBack(directory, "cpu.max"),
    }),
    "cpu.weight"(directory, { cpuWeight }) {
      const wanted = String(cpuWeight);
      const [owners] = directory.replaced ? constrainingCgroups(directory) : [];
      const weight = owners && readNumber(owners, "cpu.weight");
      if (owners && weight !== undefined && weight <= (cpuWeight as number)) {
        return limitedByAncestor("cpu.weight", wanted, { text: String(weight), path: owners.path });
      }
      return planFile("cpu.weight", "cpu.weight", wanted);
    },
  },
  lift: {
    "cpu.max": () => [{ file: "cpu.max", data: "max 100000" }],
    "cpu.weight": () => [{ file: "cpu.weight", data: "100" }],
  },
  read(directory) {
    const [quota, period] = readCgroupFile(directory, "cpu.max")?.split(" ").map(Number) ?? [];
    const cpuWeight = readNumber(directory, "cpu.weight");
    return {
      ...(quota && period ? { cpuMax: { quotaUsec: quota, periodUsec: period } } : {}),
      ...(cpuWeight === undefined ? {} : { cpuWeight }),
    };
  },
  resets: ["throttledUsec"],
  usage(directory) {
    // The usage lines are in every cgroup; the throttling lines only where the controller is on.
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
