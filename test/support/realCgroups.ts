import { existsSync, readdirSync, readFileSync } from "node:fs";
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

/** The hierarchies of this machine that tests may use, with the cgroups below which they do so. */
export interface RealCgroups {
  version: 1 | 2;
  hierarchies: Hierarchy[];
  /** v1: where this process is. v2: the top, because a cgroup that holds processes cannot divide memory and io. */
  membership: Membership;
}

/** This machine's own cgroups of one version, or the reason why tests cannot make any. */
export function findRealCgroups(version: 1 | 2): RealCgroups | string {
  if (process.getuid?.() !== 0) return "making cgroups takes root";
  const wanted = CONTROLLERS[version];
  const hierarchies = readHierarchies(realHost()).filter(
    (hierarchy) =>
      hierarchy.version === version && hierarchy.controllers.some((name) => wanted.includes(name)),
  );
  const missing = wanted.filter((name) => !hierarchies.some(({ controllers }) => controllers.includes(name)));
  if (missing.length > 0) return `no cgroup v${version} hierarchy here has ${missing.join(", ")}`;
  const own = readMembership(realHost(), "self");
  if (own === "gone") return "/proc/self/cgroup is not readable";
  const membership = version === 1 ? own : new Map(hierarchies.map(({ key, mountRoot }) => [key, mountRoot]));
  for (const hierarchy of hierarchies) {
    const directory = directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
    if (!directory || !existsSync(directory)) return `the own ${hierarchy.key} cgroup is not visible`;
    const probe = `${directory}/ffrtmp-test-probe-${process.pid}`;
    try {
      realCgroupFs.mkdir(probe);
      realCgroupFs.rmdir(probe);
    } catch (error) {
      return `${probe} cannot be made: ${error}`;
    }
  }
  return { version, hierarchies, membership };
}

/** `major:minor` of a whole disk that can be throttled, or `undefined` where there is none. */
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
