import type { CgroupController } from "../controller.ts";
import { readNumber } from "../file.ts";

/** cgroup v1 `cpuacct`, which only measures: Documentation/admin-guide/cgroup-v1/cpuacct.rst. */
export const cpuacct: CgroupController = {
  name: "cpuacct",
  measures: true,
  plan: {},
  lift: {},
  read: () => ({}),
  usage(directory) {
    const userNsec = readNumber(directory, "cpuacct.usage_user");
    const systemNsec = readNumber(directory, "cpuacct.usage_sys");
    return {
      cpuUserUsec: userNsec === undefined ? null : Math.round(userNsec / 1000),
      cpuSystemUsec: systemNsec === undefined ? null : Math.round(systemNsec / 1000),
    };
  },
};
