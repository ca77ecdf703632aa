import { formatCpuMax } from "../../../limits/grammar.ts";
import type { CgroupController } from "../controller.ts";
import { cpuMaxFiles, readQuotaPeriods } from "../cpuMax.ts";
import { readCounters } from "../file.ts";
import { numberFile } from "../limitFiles.ts";
import { usageV2 } from "./usage.ts";

/** cgroup v2 `cpu`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpu: CgroupController = {
  name: "cpu",
  limits: {
    "cpu.max": cpuMaxFiles(["cpu.max"], (max) => [{ file: "cpu.max", data: formatCpuMax(max) }]),
    "cpu.weight": numberFile("cpu.weight"),
  },
  resets: ["throttledUsec"],
  usage: usageV2.cpu,
  counters: (directory) => ({
    cpuUsec: readCounters(directory, "cpu.stat").get("usage_usec") ?? null,
    ...readQuotaPeriods(directory),
  }),
};
