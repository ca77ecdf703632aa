import { type Host, readProcFile } from "../host.ts";

/** A mounted cgroup hierarchy. cgroup v1 has several, with one or more controllers each; v2 has one for all. */
export interface Hierarchy {
  /** The name in /proc/PID/cgroup: `cpu,cpuacct`, `name=systemd`, or "" for v2. */
  key: string;
  version: 1 | 2;
  /** v1: the mounted controllers. v2: cgroup.controllers of the root, which may be empty on a hybrid machine. */
  controllers: string[];
  mountPoint: string;
  /** The cgroup at the mount point: `/`, or a deeper one in the bind mount of a container. */
  mountRoot: string;
  /** The mount is read-only: in containers, and under ProtectControlGroups=. */
  isReadOnly?: boolean;
}

/** The controllers of cgroup v1. Other mount options are no controllers: `xattr`, `seclabel`, `context="…"`. */
const V1_CONTROLLERS = new Set([
  ...["cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "net_cls", "perf_event"],
  ...["net_prio", "hugetlb", "pids", "rdma", "misc", "dmem", "debug"],
]);

/**
 * Reads the mounted cgroup hierarchies that are reachable, each with its widest mount.
 * Source: /proc/self/mountinfo, proc_pid_mountinfo(5).
 */
export function readHierarchies(host: Host): Hierarchy[] {
  const text = readProcFile(host, "self/mountinfo");
  if (text === "gone") return [];
  return parseHierarchies(text).map((hierarchy) =>
    hierarchy.version === 1 ? hierarchy : { ...hierarchy, controllers: rootControllers(host, hierarchy) },
  );
}

function rootControllers({ cgroupFs }: Host, { mountPoint }: Hierarchy): string[] {
  try {
    return cgroupFs.read(`${mountPoint}/cgroup.controllers`).split(/\s+/).filter(Boolean);
  } catch {
    return [];
  }
}

// 33 28 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
export function parseHierarchies(mountinfo: string): Hierarchy[] {
  const byKey = new Map<string, Hierarchy>();
  const mounts = parseMounts(mountinfo);
  const byParent = Map.groupBy(mounts.values(), ({ parent }) => parent);
  for (const mount of mounts.values()) {
    const { type, options, superOptions } = mount;
    const isV2 = type === "cgroup2";
    if ((type !== "cgroup" && !isV2) || isCovered(mounts, byParent, mount)) continue;
    const isReadOnly = [options, superOptions].some((each) => each.split(",").includes("ro"));
    const isName = (word: string): boolean => V1_CONTROLLERS.has(word) || word.startsWith("name=");
    const names = isV2 ? [] : superOptions.split(",").filter(isName);
    const key = names.join(",");
    if (!isV2 && key === "") continue;
    const hierarchy: Hierarchy = {
      key,
      version: isV2 ? 2 : 1,
      controllers: names.filter((name) => V1_CONTROLLERS.has(name)),
      mountPoint: unescapeMountPath(mount.mountPoint),
      mountRoot: unescapeMountPath(mount.mountRoot),
      ...(isReadOnly ? { isReadOnly } : {}),
    };
    const known = byKey.get(key);
    if (!known || isBetter(hierarchy, known)) byKey.set(key, hierarchy);
  }
  return [...byKey.values()];
}

/** Prefers the wider mount, and of two equal ones the writable one. */
function isBetter(a: Hierarchy, b: Hierarchy): boolean {
  if (a.mountRoot.length !== b.mountRoot.length) return a.mountRoot.length < b.mountRoot.length;
  return !a.isReadOnly && b.isReadOnly === true;
}

interface Mount {
  id: string;
  parent: string;
  mountRoot: string;
  mountPoint: string;
  type: string;
  options: string;
  superOptions: string;
}

function parseMounts(mountinfo: string): Map<string, Mount> {
  const mounts = new Map<string, Mount>();
  for (const line of mountinfo.split("\n")) {
    const [mount, source] = line.split(" - ");
    const [id, parent, , mountRoot, mountPoint, options = ""] = mount?.split(" ") ?? [];
    const [type, , superOptions = ""] = source?.split(" ") ?? [];
    if (!id || !parent || !type || !mountRoot?.startsWith("/") || !mountPoint?.startsWith("/")) continue;
    mounts.set(id, { id, parent, mountRoot, mountPoint, type, options, superOptions });
  }
  return mounts;
}

/**
 * Returns whether another mount covers a mount point or a directory above it, so that its path leads to another file system.
 * A container, or the sandbox of a service, may mount its own /sys/fs/cgroup over that of the machine.
 */
function isCovered(
  mounts: ReadonlyMap<string, Mount>,
  byParent: ReadonlyMap<string, Mount[]>,
  mount: Mount,
): boolean {
  if (byParent.get(mount.id)?.some(({ mountPoint }) => mountPoint === mount.mountPoint)) return true;
  const seen = new Set<Mount>();
  for (let step: Mount | undefined = mount; step && !seen.has(step); step = mounts.get(step.parent)) {
    seen.add(step);
    const { parent, mountPoint: path } = step;
    const isAbove = ({ mountPoint }: Mount): boolean =>
      path !== mountPoint && path.startsWith(mountPoint === "/" ? "/" : `${mountPoint}/`);
    if (byParent.get(parent)?.some(isAbove)) return true;
  }
  return false;
}

/** The cgroup of a process in each hierarchy, by hierarchy key. Source: /proc/PID/cgroup, cgroups(7). */
export type Membership = ReadonlyMap<string, string>;

// 4:memory:/process_api/32c7…   ← a path may contain ':'
// 0::/user.slice/user-1000.slice
export function parseMembership(text: string): Membership {
  const membership = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/s.exec(line);
    if (match) membership.set(match[1] as string, match[2] as string);
  }
  return membership;
}

/** Reads the cgroups of a process, or of one of its threads: on v1 the threads may be in different cgroups. */
export function readMembership(host: Host, pid: number | "self", tid?: number): Membership | "gone" {
  const text = readProcFile(host, tid === undefined ? `${pid}/cgroup` : `${pid}/task/${tid}/cgroup`);
  return text === "gone" ? "gone" : parseMembership(text);
}

/**
 * Returns the directory of a cgroup path; `undefined` when it is outside of the mount (a path of another
 * cgroup namespace starts with `/../`; the bind mount of a container starts at a deeper cgroup).
 */
export function directoryOf(hierarchy: Hierarchy, cgroupPath: string): string | undefined {
  if (cgroupPath.split("/").includes("..") || cgroupPath.endsWith(" (deleted)")) return undefined;
  const root = hierarchy.mountRoot === "/" ? "" : hierarchy.mountRoot;
  if (cgroupPath === hierarchy.mountRoot) return hierarchy.mountPoint;
  if (!cgroupPath.startsWith(`${root}/`)) return undefined;
  return `${hierarchy.mountPoint}${cgroupPath.slice(root.length)}`;
}

/** Returns the cgroup path of a directory below the mount point: the reverse of `directoryOf`. */
export function cgroupPathOf({ mountRoot, mountPoint }: Hierarchy, directory: string): string {
  const root = mountRoot === "/" ? "" : mountRoot;
  return `${root}${directory.slice(mountPoint.length)}` || "/";
}

/** Returns the directories above a directory, nearest first, up to the mount point. Empty for the mount point itself. */
export function ancestorsOf(hierarchy: Hierarchy, directory: string): string[] {
  const ancestors: string[] = [];
  let current = directory;
  while (current.length > hierarchy.mountPoint.length) {
    current = current.slice(0, current.lastIndexOf("/"));
    ancestors.push(current);
  }
  return ancestors;
}

function unescapeMountPath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
