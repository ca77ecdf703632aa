import { basename, dirname } from "node:path";
import { CGROUP_LIMITS, LIMITS } from "../../limits/table.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CgroupChange } from "../change.ts";

/** Files of a new cgroup whose content follows from its cpuset.cpus. */
const EFFECTIVE_CPUS = ["cpuset.effective_cpus", "cpuset.cpus.effective"];

/**
 * Returns cgroup files as they will be after the planned changes, and after writes, which are recorded and not executed. A
 * plan is made over it, so that a later part of the plan reads what an earlier part will write. It does not know what the
 * kernel would refuse.
 */
export function plannedFs(real: CgroupFs, changes: readonly CgroupChange[]): CgroupFs {
  const written = new Map<string, string>();
  return {
    read(path) {
      const isEffective = EFFECTIVE_CPUS.includes(basename(path));
      const follows = isEffective ? written.get(`${dirname(path)}/cpuset.cpus`) : undefined;
      const enabled = readCarried(changes, path) ?? readEnabled(changes, path);
      return (
        written.get(path) ??
        follows ??
        (enabled === undefined || real.exists(path) ? real.read(path) : enabled)
      );
    },
    write: (path, data) => void written.set(path, data),
    mkdir() {},
    rmdir() {},
    exists: (path) => written.has(path) || real.exists(path),
    isFile: (path) => real.isFile(path),
    isWritable: (path) => real.isWritable(path),
    realPath: (path) => real.realPath(path),
    owner: (path) => real.owner(path),
    children: (path) => real.children(path),
    hasProcesses: (path) => real.hasProcesses(path),
    hasPrograms: (path) => real.hasPrograms(path),
    files: (path) => real.files(path),
    watch: () => undefined,
  };
}

/** Returns the text that a file of a planned carrier gets when that is created. */
function readCarried(changes: readonly CgroupChange[], path: string): string | undefined {
  const created = changes.find((change) => change.kind === "cgroup-created" && change.path === dirname(path));
  return created?.kind === "cgroup-created" ? created.carried?.[basename(path)] : undefined;
}

/** Returns the text that a file gets with its controller, in the cgroups below the one that enables it. */
function readEnabled(changes: readonly CgroupChange[], path: string): string | undefined {
  const limit = CGROUP_LIMITS.find((name) => name === basename(path));
  if (limit === undefined) return undefined;
  const { controller, untouched } = LIMITS[limit].v2;
  const level = dirname(dirname(path));
  const isEnabled = changes.some(
    (change) =>
      change.kind === "controller-enabled" && change.path === level && change.controller === controller,
  );
  return isEnabled ? untouched : undefined;
}
