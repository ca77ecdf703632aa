import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import {
  directoryOf,
  type Hierarchy,
  type Membership,
  readHierarchies,
  readMembership,
} from "../../src/linux/cgroup/hierarchies.ts";
import { realCgroupFs } from "../../src/linux/cgroupFs.ts";
import { realHost } from "../../src/linux/host.ts";

const CONTROLLERS = {
  1: ["cpu", "cpuacct", "memory", "blkio", "pids", "cpuset"],
  2: ["cpu", "memory", "io", "pids", "cpuset"],
};

/** The hierarchies of this machine for tests, and the cgroups below which tests create theirs. */
export interface RealCgroups {
  version: 1 | 2;
  hierarchies: Hierarchy[];
  /**
   * v1: the cgroups of this process. v2: the root, because a cgroup with processes cannot divide memory and
   * io.
   */
  membership: Membership;
}

/** Returns this machine's cgroups of one version, or the reason why tests cannot use them. */
export function findRealCgroups(version: 1 | 2): RealCgroups | string {
  if (process.getuid?.() !== 0) return "needs root to make cgroups";
  const wanted = CONTROLLERS[version];
  const hierarchies = readHierarchies(realHost()).filter(
    (hierarchy) =>
      hierarchy.version === version && hierarchy.controllers.some((name) => wanted.includes(name)),
  );
  const missing = wanted.filter((name) => !hierarchies.some(({ controllers }) => controllers.includes(name)));
  if (missing.length > 0) return `needs cgroup v${version} hierarchies with ${missing.join(", ")}`;
  const own = readMembership(realHost(), "self");
  if (own === "gone") return "cannot read /proc/self/cgroup";
  const membership = version === 1 ? own : new Map(hierarchies.map(({ key, mountRoot }) => [key, mountRoot]));
  for (const hierarchy of hierarchies) {
    const directory = directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
    if (!directory || !existsSync(directory)) return `needs a view of its own ${hierarchy.key} cgroup`;
    const probe = `${directory}/ffrtmp-test-probe-${process.pid}`;
    try {
      realCgroupFs.mkdir(probe);
      realCgroupFs.rmdir(probe);
    } catch (error) {
      return `cannot make ${probe}: ${error}`;
    }
  }
  return { version, hierarchies, membership };
}

/** Returns `major:minor` of a whole disk to throttle, or `undefined`. */
export function findDisk(): string | undefined {
  for (const name of readdirSync("/sys/block")) {
    if (/^(vd|sd|nvme|xvd|loop)/.test(name)) return readFileSync(`/sys/block/${name}/dev`, "utf8").trim();
  }
  return undefined;
}

export function countCpus(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim();
  return Number(text.split("-").at(-1)) + 1;
}

/** Writes to any file of a real cgroup, as an operator does. ffrtmp writes only the files of its list. */
export function writeToKernel(path: string, data: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, data);
  } finally {
    closeSync(fd);
  }
}
