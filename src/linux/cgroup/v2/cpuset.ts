import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { applyCpus, readCpus } from "../cpusetCpus.ts";
import { readCgroupFile, type WriteResult, writeCgroupFile } from "../file.ts";
import { parentOf } from "../subtreeControl.ts";

/** cgroup v2 `cpuset`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpuset: CgroupController = {
  name: "cpuset",
  measures: false,
  dividesThreads: true,
  apply: { "cpuset.cpus": applyCpus },
  lift: { "cpuset.cpus": liftCpus },
  usage: () => ({}),
  read: readCpus,
  inherited: ["cpuset.cpus"],
};

function liftCpus(directory: CgroupDirectory): WriteResult {
  // A write of nothing at all would not reach the kernel.
  const emptied = writeCgroupFile(directory, "cpuset.cpus", "\n");
  if (!("refusal" in emptied)) return emptied;
  // It empties no list of a cgroup with processes (ENOSPC). All CPUs that there are above limit nothing.
  const above = readCgroupFile({ ...directory, path: parentOf(directory.path) }, "cpuset.cpus.effective");
  return above === undefined ? emptied : writeCgroupFile(directory, "cpuset.cpus", above);
}
