import type { CgroupController } from "../controller.ts";
import { applyCpus, readCpus } from "../cpuList.ts";

/** cgroup v2 `cpuset`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpuset: CgroupController = {
  name: "cpuset",
  measures: false,
  dividesThreads: true,
  apply: { "cpuset.cpus": applyCpus },
  usage: () => ({}),
  read: readCpus,
  inherited: ["cpuset.cpus"],
};
