import { formatCpuMax } from "../../../limits/grammar.ts";
import type { CgroupController } from "../controller.ts";
import { addQuotaPeriods, cpuMaxFiles } from "../cpuMax.ts";
import { cpuIdle, withIdle } from "../cpuShare.ts";
import { counterIn, readCgroupFile } from "../file.ts";
import { numberFile } from "../limitFiles.ts";
import { usageV2 } from "./usage.ts";

/** cgroup v2 `cpu`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  limits: {
    "cpu.max": cpuMaxFiles(["cpu.max"], (max) => [{ file: "cpu.max", data: formatCpuMax(max) }]),
    "cpu.weight": withIdle(numberFile("cpu.weight")),
    "cpu.idle": cpuIdle,
  },
  resets: ["throttledUsec"],
  usage: usageV2.cpu,
  counters(directory, known) {
    const stat = readCgroupFile(directory, "cpu.stat") ?? "";
    known.cpuUsec ??= counterIn(stat, "usage_usec") ?? null;
    addQuotaPeriods(stat, known);
  },
};
