import type { CgroupController } from "../controller.ts";
import { applyCpus, readCpus } from "../cpuList.ts";

/** cgroup v1 `cpuset`: Documentation/admin-guide/cgroup-v1/cpusets.rst. */
export const cpuset: CgroupController = {
  name: "cpuset",
  measures: false,
  apply: { "cpuset.cpus": applyCpus },
  usage: () => ({}),
  read: readCpus,
  inherited: ["cpuset.cpus"],
  prepare(directory, origin) {
    // A new v1 cpuset is empty, and nothing can join it until it has both.
    for (const file of ["cpuset.mems", "cpuset.cpus"]) {
      directory.fs.write(`${directory.path}/${file}`, directory.fs.read(`${origin.path}/${file}`).trim());
    }
  },
};
