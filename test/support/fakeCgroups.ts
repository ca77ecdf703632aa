import {
  type Hierarchy,
  type Membership,
  parseHierarchies,
  parseMembership,
} from "../../src/linux/cgroup/hierarchies.ts";
import type { CgroupFs } from "../../src/linux/cgroupFs.ts";
import type { FakeHardware } from "./fakeCgroupFilesV1.ts";
import { v1Rules } from "./fakeCgroupRulesV1.ts";
import { type V2Rules, v2Rules } from "./fakeCgroupRulesV2.ts";
import {
  type Access,
  fakeCgroupFs,
  type Group,
  newGroup,
  pathOf,
  type Threads,
  type Tree,
} from "./fakeCgroupTree.ts";

/** A machine's cgroups in memory, with the processes in them. Refuses what the kernel refuses. */
export interface FakeCgroups {
  fs: CgroupFs;
  hierarchies: Hierarchy[];
  /** The cgroup lines of its /proc/self/mountinfo. */
  mountinfo: string;
  /** Its /proc/PID/cgroup, or that of one thread. */
  cgroupText(tid: number): string;
  membership(tid: number): Membership;
  /** A process of one thread, started in this cgroup of every hierarchy. Refused where the kernel would refuse the fork. */
  addProcess(pid: number, cgroupPath?: string): void;
  /** Another thread of a process, where the process's first thread is. */
  addThread(pid: number, tid: number): void;
  /** The process ends. */
  exit(pid: number): void;
  /** Whose writes these are: what "0" means to cgroup.procs and tasks. */
  actAs(tid: number): void;
  /** From now on, for this directory and everything below it; the longest path decides. */
  setAccess(access: Access, directory: string): void;
  /** What the kernel counts or sets by itself: the file's text from now on. */
  set(path: string, text: string): void;
}

const HARDWARE: FakeHardware = { cpus: 4, disks: ["8:0", "8:16"], flatMemory: false };

const V1_CONTROLLERS = ["cpu", "cpuacct", "memory", "blkio", "pids", "cpuset"];

/** A cgroup v1 machine. `together` names the controllers that share a hierarchy: `["cpu,cpuacct"]` as Debian mounts them. */
export function fakeV1(options: Partial<FakeHardware> & { together?: string[] } = {}): FakeCgroups {
  const { together = [], ...hardware } = options;
  const shared = together.flatMap((key) => key.split(","));
  const keys = [...together, ...V1_CONTROLLERS.filter((name) => !shared.includes(name))];
  const mountinfo = keys
    .map(
      (key, n) => `${33 + n} 31 0:${30 + n} / /sys/fs/cgroup/${key} rw,relatime - cgroup cgroup rw,${key}\n`,
    )
    .join("");
  const threads: Threads = new Map();
  const current = { tid: 0 };
  const trees = parseHierarchies(mountinfo).map((hierarchy): Tree => {
    const tree: Tree = emptyTree(hierarchy);
    tree.rules = v1Rules(tree, { ...HARDWARE, ...hardware }, threads, current);
    return tree;
  });
  return machine(trees, mountinfo, threads, current);
}

/** A cgroup v2 machine. `offers` are the controllers of its root. */
export function fakeV2(options: Partial<FakeHardware> & { offers?: string[] } = {}): FakeCgroups {
  const { offers = ["cpuset", "cpu", "io", "memory", "pids"], ...hardware } = options;
  const mountinfo =
    "26 25 0:23 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw\n";
  const threads: Threads = new Map();
  const current = { tid: 0 };
  const trees = parseHierarchies(mountinfo).map((parsed): Tree => {
    const tree: Tree = emptyTree({ ...parsed, controllers: offers });
    tree.rules = v2Rules(tree, { ...HARDWARE, ...hardware }, threads, current);
    return tree;
  });
  return machine(trees, mountinfo, threads, current);
}

function emptyTree(hierarchy: Hierarchy): Tree {
  return {
    hierarchy,
    root: newGroup("", undefined),
    rules: { filesOf: () => new Map() },
    threads: new Map(),
  };
}

function machine(trees: Tree[], mountinfo: string, threads: Threads, current: { tid: number }): FakeCgroups {
  const accesses: [directory: string, access: Access][] = [];
  const fs = fakeCgroupFs(trees, (path) => {
    const covers = accesses.filter(([directory]) => path === directory || path.startsWith(`${directory}/`));
    return covers.sort(([a], [b]) => b.length - a.length)[0]?.[1] ?? "full";
  });
  const cgroupText = (tid: number): string =>
    trees
      .map(({ hierarchy, threads, root }, n) => {
        const id = hierarchy.version === 2 ? 0 : trees.length - n;
        return `${id}:${hierarchy.key}:${pathOf(threads.get(tid) ?? root)}\n`;
      })
      .join("");
  return {
    fs,
    hierarchies: trees.map(({ hierarchy }) => hierarchy),
    mountinfo,
    cgroupText,
    membership: (tid) => parseMembership(cgroupText(tid)),
    addProcess(pid, cgroupPath = "/") {
      for (const tree of trees) {
        const group = groupAt(tree, cgroupPath);
        (tree.rules as Partial<V2Rules>).checkFork?.(group);
        tree.threads.set(pid, group);
      }
      threads.set(pid, pid);
    },
    addThread(pid, tid) {
      threads.set(tid, pid);
      for (const tree of trees) tree.threads.set(tid, tree.threads.get(pid) ?? tree.root);
    },
    exit(pid) {
      for (const [tid, owner] of threads) {
        if (owner !== pid) continue;
        threads.delete(tid);
        for (const tree of trees) tree.threads.delete(tid);
      }
      fs.tellChanges();
    },
    actAs(tid) {
      current.tid = tid;
    },
    setAccess: (access, directory) => void accesses.unshift([directory, access]),
    set(path, text) {
      const directory = path.slice(0, path.lastIndexOf("/"));
      const tree = trees.find(({ hierarchy }) => `${path}/`.startsWith(`${hierarchy.mountPoint}/`));
      if (!tree) throw new Error(`${path} is in no hierarchy of this machine`);
      const group = groupAt(tree, directory.slice(tree.hierarchy.mountPoint.length));
      group.values.set(path.slice(path.lastIndexOf("/") + 1), text);
    },
  };
}

function groupAt(tree: Tree, cgroupPath: string): Group {
  let group = tree.root;
  for (const name of cgroupPath.split("/").filter(Boolean)) {
    const child = group.children.get(name);
    if (!child) throw new Error(`${cgroupPath} is not in the ${tree.hierarchy.key || "v2"} hierarchy`);
    group = child;
  }
  return group;
}
