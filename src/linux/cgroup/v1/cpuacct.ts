import type { CgroupController } from "../controller.ts";
import { readNsecAsUsec, usageV1 } from "./usage.ts";

/** cgroup v1 `cpuacct`, which only measures: Documentation/admin-guide/cgroup-v1/cpuacct.rst. */
export const cpuacct: CgroupController = {
  name: "cpuacct",
  limits: {},
  usage: usageV1.cpuacct,
  counters(directory, known) {
    known.cpuUsec ??= readNsecAsUsec(directory, "cpuacct.usage");
  },
};
