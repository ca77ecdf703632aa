import { dirname } from "node:path";
import type { CgroupController } from "../controller.ts";
import { planCpus, readCpus } from "../cpusetCpus.ts";
import { readCgroupFile } from "../file.ts";

/** cgroup v1 `cpuset`: Documentation/admin-guide/cgroup-v1/cpusets.rst. */
export const cpuset: CgroupController = {
  name: "cpuset",
  measures: false,
  plan: { "cpuset.cpus": planCpus },
  lift: {
    "cpuset.cpus"({ fs, path }) {
      const above = readCgroupFile({ fs, path: dirname(path) }, "cpuset.cpus");
      return [{ file: "cpuset.cpus", data: above ?? "" }];
    },
  },
  usage: () => ({}),
  read: readCpus,
  prepare(directory, parent) {
    // A new v1 cpuset is empty, and no process can join it until it has both.
    for (const file of ["cpuset.mems", "cpuset.cpus"]) {
      directory.fs.write(`${directory.path}/${file}`, directory.fs.read(`${parent.path}/${file}`).trim());
    }
  },
};
