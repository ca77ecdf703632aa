import { type Host, readProcFile } from "../host.ts";

/** One mounted cgroup tree. A v1 machine has several, one or more controllers each; v2 is one tree for all. */
export interface Hierarchy {
  /** As /proc/PID/cgroup names it: `cpu,cpuacct`, `name=systemd`, or empty for v2. */
  key: string;
  version: 1 | 2;
  /** v1: what is mounted here. v2: what its root offers (cgroup.controllers), which may be nothing on a hybrid machine. */
  controllers: string[];
  mountPoint: string;
  /** The cgroup that appears at the mount point: `/`, or deeper in a container's bind mount. */
  mountRoot: string;
  /** Mounted so that nothing can be made or written there: in containers, and under ProtectControlGroups=. */
  isReadOnly?: boolean;
}

/** Every controller that a v1 hierarchy may have. What else stands among the mount options is none: `xattr`, `seclabel`, `context="…"`. */
const V1_CONTROLLERS = new Set([
  ...["cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "net_cls", "perf_event"],
  ...["net_prio", "hugetlb", "pids", "rdma", "misc", "dmem", "debug"],
]);

/** Every cgroup tree that is mounted where it can be reached, each at its widest mount. Source: /proc/self/mountinfo, proc_pid_mountinfo(5). */
export function readHierarchies(host: Host): Hierarchy[] {
  const text = readProcFile(host, "self/mountinfo");
  if (text === "gone") return [];
  return parseHierarchies(text).map((hierarchy) =>
    hierarchy.version === 1 ? hierarchy : { ...hierarchy, controllers: rootControllers(host, hierarchy) },
  );
}

function rootControllers(host: Host, hierarchy: Hierarchy): string[] {
  try {
    return words(host.cgroupFs.read(`${hierarchy.mountPoint}/cgroup.controllers`));
  } catch {
    return [];
  }
}

// 33 28 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
export function parseHierarchies(mountinfo: string): Hierarchy[] {
  const isOfKey = (word: string): boolean => V1_CONTROLLERS.has(word) || word.startsWith("name=");
  const byKey = new Map<string, Hierarchy>();
  const mounts = parseMounts(mountinfo);
  for (const mount of mounts.values()) {
    const { mountRoot, mountPoint, type, isReadOnly, superOptions } = mount;
    if (type !== "cgroup" && type !== "cgroup2") continue;
    if (isCovered(mounts, mount)) continue;
    const options = superOptions.split(",").filter(isOfKey);
    const hierarchy: Hierarchy = {
      key: type === "cgroup2" ? "" : options.join(","),
      version: type === "cgroup2" ? 2 : 1,
      controllers: type === "cgroup2" ? [] : options.filter((word) => !word.startsWith("name=")),
      mountPoint: unescapeMountPath(mountPoint),
      mountRoot: unescapeMountPath(mountRoot),
      ...(isReadOnly ? { isReadOnly } : {}),
    };
    if (hierarchy.version === 1 && hierarchy.key === "") continue;
    const known = byKey.get(hierarchy.key);
    if (!known || isBetter(hierarchy, known)) byKey.set(hierarchy.key, hierarchy);
  }
  return [...byKey.values()];
}

/** The wider mount, and of two alike the one that can be written. */
function isBetter(a: Hierarchy, b: Hierarchy): boolean {
  if (a.mountRoot.length !== b.mountRoot.length) return a.mountRoot.length < b.mountRoot.length;
  return !a.isReadOnly && b.isReadOnly === true;
}

interface Mount {
  id: string;
  /** The mount that this one lies in. */
  parent: string;
  mountRoot: string;
  mountPoint: string;
  type: string;
  isReadOnly: boolean;
  superOptions: string;
}

/** By id. */
function parseMounts(mountinfo: string): Map<string, Mount> {
  const mounts = new Map<string, Mount>();
  for (const line of mountinfo.split("\n")) {
    const [mount, source] = line.split(" - ");
    const [id, parent, , mountRoot, mountPoint, options = ""] = mount?.split(" ") ?? [];
    const [type, , superOptions = ""] = source?.split(" ") ?? [];
    if (!id || !parent || !type || !mountRoot?.startsWith("/") || !mountPoint?.startsWith("/")) continue;
    const isReadOnly = [options, superOptions].some((each) => each.split(",").includes("ro"));
    mounts.set(id, { id, parent, mountRoot, mountPoint, type, isReadOnly, superOptions });
  }
  return mounts;
}

/**
 * Whether another mount lies over a mount, or over a directory on the way to it: its path leads elsewhere then. So it is in
 * a container, or a sandbox of a service, that mounted its own /sys/fs/cgroup over the machine's.
 */
function isCovered(mounts: ReadonlyMap<string, Mount>, mount: Mount): boolean {
  const others = [...mounts.values()];
  if (others.some((other) => other.parent === mount.id && other.mountPoint === mount.mountPoint)) return true;
  const seen = new Set<Mount>();
  for (let step: Mount | undefined = mount; step && !seen.has(step); step = mounts.get(step.parent)) {
    seen.add(step);
    const { parent, mountPoint } = step;
    const isBefore = (other: Mount): boolean =>
      other.parent === parent && mountPoint.startsWith(other.mountPoint.replace(/\/?$/, "/"));
    if (others.some((other) => other !== step && other.mountPoint !== mountPoint && isBefore(other)))
      return true;
  }
  return false;
}

/** The cgroup of a process in each hierarchy, by hierarchy key. Source: /proc/PID/cgroup, cgroups(7). */
export type Membership = ReadonlyMap<string, string>;

// 4:memory:/process_api/32c7…   ← a path may hold ':'
// 0::/user.slice/user-1000.slice
export function parseMembership(text: string): Membership {
  const membership = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/s.exec(line);
    if (match) membership.set(match[1] as string, match[2] as string);
  }
  return membership;
}

export function readMembership(host: Host, pid: number | "self"): Membership | "gone" {
  const text = readProcFile(host, `${pid}/cgroup`);
  return text === "gone" ? "gone" : parseMembership(text);
}

/** Membership of one thread: on v1 threads of one process may sit in different cgroups. */
export function readThreadMembership(host: Host, pid: number, tid: number): Membership | "gone" {
  const text = readProcFile(host, `${pid}/task/${tid}/cgroup`);
  return text === "gone" ? "gone" : parseMembership(text);
}

/**
 * Where a cgroup path lies in the file system; `undefined` when it is outside of what is mounted here
 * (another cgroup namespace shows it as `/../…`, a container's bind mount begins deeper).
 */
export function directoryOf(hierarchy: Hierarchy, cgroupPath: string): string | undefined {
  if (cgroupPath.split("/").includes("..") || cgroupPath.endsWith(" (deleted)")) return undefined;
  const root = hierarchy.mountRoot === "/" ? "" : hierarchy.mountRoot;
  if (cgroupPath === hierarchy.mountRoot) return hierarchy.mountPoint;
  if (!cgroupPath.startsWith(`${root}/`)) return undefined;
  return `${hierarchy.mountPoint}${cgroupPath.slice(root.length)}`;
}

/** The cgroup path of a directory below the mount point: the reverse of `directoryOf`. */
export function cgroupPathOf({ mountRoot, mountPoint }: Hierarchy, directory: string): string {
  const root = mountRoot === "/" ? "" : mountRoot;
  return `${root}${directory.slice(mountPoint.length)}` || "/";
}

/** The directories above, nearest first, up to the mount point, which is the last. Empty for the mount point itself. */
export function ancestorsOf(hierarchy: Hierarchy, directory: string): string[] {
  const ancestors: string[] = [];
  let current = directory;
  while (current.length > hierarchy.mountPoint.length) {
    current = current.slice(0, current.lastIndexOf("/"));
    ancestors.push(current);
  }
  return ancestors;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

function unescapeMountPath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
