import { type CpuMax, wantedText } from "../../limits.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { heldAbove, judgeWrite, readCounters, readKnob, tightestAbove, writeKnob } from "../knob.ts";

/** cgroup v2 `cpu`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  measures: true,
  dividesThreads: true,
  apply: {
    "cpu.max"(directory, { cpuMax }) {
      const max = cpuMax as CpuMax;
      const wanted = wantedText({ cpuMax: max }, "cpu.max") as string;
      const cores = max.quotaUsec === "max" ? Number.POSITIVE_INFINITY : max.quotaUsec / max.periodUsec;
      const above = tightestAbove(directory, readCores);
      if (above && above.value <= cores) {
        return heldAbove("cpu.max", wanted, { text: `${above.value} cores`, path: above.path });
      }
      return judgeWrite(
        "cpu.max",
        wanted,
        writeKnob(directory, "cpu.max", wanted),
        (readBack) => readBack === wanted,
      );
    },
    "cpu.weight"(directory, { cpuWeight }) {
      const wanted = String(cpuWeight);
      return judgeWrite(
        "cpu.weight",
        wanted,
        writeKnob(directory, "cpu.weight", wanted),
        (readBack) => readBack === wanted,
      );
    },
  },
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
  const [quota, period] = readKnob(directory, "cpu.max")?.split(" ") ?? [];
  return quota === undefined || quota === "max" || !period ? undefined : Number(quota) / Number(period);
}
