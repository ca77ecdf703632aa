import { basename, dirname } from "node:path";
import type { CgroupFs } from "../cgroupFs.ts";

/** Files of a new cgroup whose content follows from its cpuset.cpus. */
const EFFECTIVE_CPUS = ["cpuset.effective_cpus", "cpuset.cpus.effective"];

/**
 * Returns cgroup files as they will be after planned writes, which are recorded and not executed. A plan is made over it,
 * so that a later part of the plan reads what an earlier part will write. It does not know what the kernel would refuse.
 */
export function plannedFs(real: CgroupFs): CgroupFs {
  const written = new Map<string, string>();
  return {
    read(path) {
      const isEffective = EFFECTIVE_CPUS.includes(basename(path));
      const follows = isEffective ? written.get(`${dirname(path)}/cpuset.cpus`) : undefined;
      return written.get(path) ?? follows ?? real.read(path);
    },
    write: (path, data) => void written.set(path, data),
    mkdir() {},
    rmdir() {},
    exists: (path) => written.has(path) || real.exists(path),
    children: (path) => real.children(path),
    watch: () => undefined,
  };
}
