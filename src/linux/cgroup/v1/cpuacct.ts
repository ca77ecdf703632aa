import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, readNumber } from "../file.ts";

/** cgroup v1 `cpuacct`, which only measures: Documentation/admin-guide/cgroup-v1/cpuacct.rst. */
export const cpuacct: CgroupController = {
  name: "cpuacct",
  limits: {},
  usage: (directory) => ({
    cpuUserUsec: readUsec(directory, "cpuacct.usage_user"),
    cpuSystemUsec: readUsec(directory, "cpuacct.usage_sys"),
  }),
  // Exact; the two files above count whole ticks of the timer (kernel/sched/cpuacct.c).
  counters: (directory) => ({ cpuUsec: readUsec(directory, "cpuacct.usage") }),
};

function readUsec(directory: CgroupDirectory, file: string): number | null {
  const nsec = readNumber(directory, file);
  return nsec === undefined ? null : Math.round(nsec / 1000);
}
