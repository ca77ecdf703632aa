import type { CgroupController } from "../controller.ts";
import { applyCpus, readCpus } from "../cpuList.ts";
import { writeKnob } from "../knob.ts";

/** cgroup v2 `cpuset`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpuset: CgroupController = {
  name: "cpuset",
  measures: false,
  dividesThreads: true,
  apply: { "cpuset.cpus": applyCpus },
  // A write of nothing at all would not reach the kernel.
  lift: { "cpuset.cpus": (directory) => writeKnob(directory, "cpuset.cpus", "\n") },
  usage: () => ({}),
  read: readCpus,
  inherited: ["cpuset.cpus"],
};
