import { dirname } from "node:path";
import type { CgroupController } from "../controller.ts";
import { planCpus, readCpus } from "../cpusetCpus.ts";
import { readCgroupFile } from "../file.ts";

/** cgroup v2 `cpuset`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpuset: CgroupController = {
  name: "cpuset",
  measures: false,
  plan: { "cpuset.cpus": planCpus },
  lift: {
    "cpuset.cpus"({ fs, path }) {
      // A write of no bytes would not reach the kernel. The kernel empties no list of a cgroup with processes (ENOSPC);
      // all CPUs of the cgroup above limit nothing.
      const above = readCgroupFile({ fs, path: dirname(path) }, "cpuset.cpus.effective");
      return [{ file: "cpuset.cpus", data: "\n", ...(above === undefined ? {} : { otherwise: above }) }];
    },
  },
  usage: () => ({}),
  read: readCpus,
};
