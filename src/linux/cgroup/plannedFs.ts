import type { CgroupFs } from "../cgroupFs.ts";

/** Files of a new cgroup whose content follows from another file. */
const FOLLOWS: Record<string, string> = {
  "cpuset.effective_cpus": "cpuset.cpus",
  "cpuset.cpus.effective": "cpuset.cpus",
};

/**
 * Returns cgroup files as they will be after planned writes, which are recorded and not executed. A plan is made over it,
 * so that a later part of the plan reads what an earlier part will write. It does not know what the kernel would refuse.
 */
export function plannedFs(real: CgroupFs): CgroupFs {
  const written = new Map<string, string>();
  return {
    read(path) {
      const at = path.lastIndexOf("/") + 1;
      const source = FOLLOWS[path.slice(at)];
      const follows = source === undefined ? undefined : written.get(path.slice(0, at) + source);
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
