import type { Usage } from "../../../limits/usage.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, readNumber } from "../file.ts";

/** cgroup v1 `cpuacct`, which only measures: Documentation/admin-guide/cgroup-v1/cpuacct.rst. */
export const cpuacct: CgroupController = {
  name: "cpuacct",
  limits: {},
  usage: readShares,
  counters: (directory) => ({ cpuUsec: readUsec(directory, "cpuacct.usage") }),
};

/**
 * Divides the exact CPU time into user and system time. usage_user and usage_sys count whole ticks of the timer, and under a
 * CPU quota their sum was measured 50 % too high. cgroup v2 divides in the same way: cputime_adjust(), kernel/sched/cputime.c.
 */
function readShares(directory: CgroupDirectory): Partial<Usage> {
  const [total, user, system] = ["cpuacct.usage", "cpuacct.usage_user", "cpuacct.usage_sys"].map((file) =>
    readUsec(directory, file),
  ) as [number | null, number | null, number | null];
  if (total === null || user === null || system === null) return { cpuUserUsec: user, cpuSystemUsec: system };
  const cpuUserUsec = user + system === 0 ? total : Math.round((total * user) / (user + system));
  return { cpuUserUsec, cpuSystemUsec: total - cpuUserUsec };
}

function readUsec(directory: CgroupDirectory, file: string): number | null {
  const nsec = readNumber(directory, file);
  return nsec === undefined ? null : Math.round(nsec / 1000);
}
