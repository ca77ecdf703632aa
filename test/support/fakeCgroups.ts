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

/** The cgroups and processes of a machine in memory, with the errors of the kernel. */
export interface FakeCgroups {
  fs: CgroupFs;
  hierarchies: Hierarchy[];
  /** The lines about cgroups of /proc/self/mountinfo. */
  mountinfo: string;
  /** The content of /proc/PID/cgroup of a process or thread. */
  cgroupText(tid: number): string;
  membership(tid: number): Membership;
  /**
   * Starts a process of one thread in this cgroup of every hierarchy. Throws where the kernel would refuse
   * the fork.
   */
  addProcess(pid: number, cgroupPath?: string): void;
  /** Starts a thread of a process in the cgroups of its first thread. */
  addThread(pid: number, tid: number): void;
  /** Ends a process. */
  exit(pid: number): void;
  /** Sets the thread that writes, which is the meaning of "0" in cgroup.procs and tasks. */
  actAs(tid: number): void;
  /** Sets the access to a directory and everything below it. The longest path decides. */
  setAccess(access: Access, directory: string): void;
  /** Sets the content of a file that the kernel counts or sets by itself. */
  set(path: string, text: string): void;
}

const HARDWARE: FakeHardware = { cpus: 4, disks: ["8:0", "8:16"], flatMemory: false };

const V1_CONTROLLERS = ["cpu", "cpuacct", "memory", "blkio", "pids", "cpuset"];

/**
 * Makes a cgroup v1 machine. `together` has the controllers that share a hierarchy: on Debian
 * `["cpu,cpuacct"]`.
 */
export function fakeV1(options: Partial<FakeHardware> & { together?: string[] } = {}): FakeCgroups {
  const { together = [], ...hardware } = options;
  const mountinfo = v1Mounts(keysOf(together));
  const threads: Threads = new Map();
  const current = { tid: 0 };
  const trees = parseHierarchies(mountinfo).map((hierarchy): Tree => {
    const tree: Tree = emptyTree(hierarchy);
    tree.rules = v1Rules(tree, { ...HARDWARE, ...hardware }, threads, current);
    return tree;
  });
  return machine(trees, mountinfo, threads, current);
}

/** Makes a cgroup v2 machine. `offers` are the controllers of its root. */
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

/** Makes a hybrid machine: the controllers are on cgroup v1, and an empty v2 hierarchy is mounted beside them. */
export function fakeHybrid(together: string[] = []): FakeCgroups {
  const threads: Threads = new Map();
  const current = { tid: 0 };
  const unified = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
  const mountinfo = v1Mounts(keysOf(together)) + unified;
  const trees = parseHierarchies(mountinfo).map((hierarchy): Tree => {
    const tree = emptyTree(hierarchy);
    const rules = hierarchy.version === 1 ? v1Rules : v2Rules;
    tree.rules = rules(tree, HARDWARE, threads, current);
    return tree;
  });
  return machine(trees, mountinfo, threads, current);
}

function keysOf(together: string[]): string[] {
  const shared = together.flatMap((key) => key.split(","));
  return [...together, ...V1_CONTROLLERS.filter((name) => !shared.includes(name))];
}

function v1Mounts(keys: readonly string[]): string {
  return keys
    .map(
      (key, n) => `${33 + n} 31 0:${30 + n} / /sys/fs/cgroup/${key} rw,relatime - cgroup cgroup rw,${key}\n`,
    )
    .join("");
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
