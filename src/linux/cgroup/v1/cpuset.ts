import { dirname } from "node:path";
import type { CgroupController } from "../controller.ts";
import { applyCpus, readCpus } from "../cpusetCpus.ts";
import { readCgroupFile, writeCgroupFile } from "../file.ts";

/** cgroup v1 `cpuset`: Documentation/admin-guide/cgroup-v1/cpusets.rst. */
export const cpuset: CgroupController = {
  name: "cpuset",
  measures: false,
  apply: { "cpuset.cpus": applyCpus },
  lift: {
    "cpuset.cpus"(directory) {
      const parent = { ...directory, path: dirname(directory.path) };
      return writeCgroupFile(directory, "cpuset.cpus", readCgroupFile(parent, "cpuset.cpus") ?? "");
    },
  },
  usage: () => ({}),
  read: readCpus,
  inherited: ["cpuset.cpus"],
  prepare(directory, parent) {
    // A new v1 cpuset is empty, and nothing can join it until it has both.
    for (const file of ["cpuset.mems", "cpuset.cpus"]) {
      directory.fs.write(`${directory.path}/${file}`, directory.fs.read(`${parent.path}/${file}`).trim());
    }
  },
};
