import type { Hierarchy } from "../../src/linux/cgroup/hierarchies.ts";
import type { CgroupFs } from "../../src/linux/cgroupFs.ts";

/** One cgroup of a fake machine. */
export interface Group {
  name: string;
  parent: Group | undefined;
  children: Map<string, Group>;
  /** The values of its control files by name. An absent one has the kernel's default. */
  values: Map<string, string>;
}

/** A control file. Without `read` or `write` that access fails with EINVAL, as the kernel's does for root. */
export interface ControlFile {
  read?(group: Group): string;
  write?(group: Group, data: string): void;
}

/** The rules of one cgroup version. The tree is the same for v1 and v2. */
export interface Rules {
  filesOf(group: Group): ReadonlyMap<string, ControlFile>;
}

export interface Tree {
  hierarchy: Hierarchy;
  root: Group;
  rules: Rules;
  /** The cgroup of every thread, by thread id. */
  threads: Map<number, Group>;
}

/** `read-only`: a read-only mount. `denied`: another user than the owner of the files. */
export type Access = "full" | "read-only" | "denied";

/**
 * The threads of a fake machine: thread id → process id. The first thread of a process has the process id.
 */
export type Threads = Map<number, number>;

/** An error of the kernel as node:fs throws it. */
class KernelRefusal extends Error {
  readonly code: string;
  path: string | undefined;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

export function refuse(code: string): never {
  throw new KernelRefusal(code);
}

export function newGroup(name: string, parent: Group | undefined): Group {
  return { name, parent, children: new Map(), values: new Map() };
}

/** Lists a group and all groups below it, the group itself first. */
export function subtree(group: Group): Group[] {
  return [group, ...[...group.children.values()].flatMap(subtree)];
}

export function pathOf(group: Group): string {
  const names: string[] = [];
  for (let current: Group | undefined = group; current?.parent; current = current.parent)
    names.unshift(current.name);
  return `/${names.join("/")}`;
}

/** Lists the thread ids in a group itself, ascending. */
export function threadsIn(tree: Tree, group: Group): number[] {
  return [...tree.threads.entries()]
    .filter(([, where]) => where === group)
    .map(([tid]) => tid)
    .sort((a, b) => a - b);
}

export function isPopulated(tree: Tree, group: Group): boolean {
  return subtree(group).some((each) => threadsIn(tree, each).length > 0);
}

type Place = { tree: Tree; group: Group; file?: { name: string; file: ControlFile } };

export interface FakeCgroupFs extends CgroupFs {
  /** Calls the watchers of files whose content has changed. Call it after a change without a write. */
  tellChanges(): void;
}

/** Makes the file system of a fake machine. `accessOf` is checked before every change. */
export function fakeCgroupFs(trees: Tree[], accessOf: (path: string) => Access): FakeCgroupFs {
  const watches = new Set<{ path: string; text: string | undefined; onChange: () => void }>();
  const textOf = (path: string): string | undefined => {
    try {
      const { group, file } = find(path);
      return file?.file.read?.(group);
    } catch {
      return undefined;
    }
  };
  const tellChanges = (): void => {
    for (const watch of watches) {
      const text = textOf(watch.path);
      if (text === watch.text) continue;
      watch.text = text;
      queueMicrotask(() => watches.has(watch) && watch.onChange());
    }
  };

  function find(path: string): Place {
    const tree = trees
      .filter(({ hierarchy: { mountPoint } }) => path === mountPoint || path.startsWith(`${mountPoint}/`))
      .sort((a, b) => b.hierarchy.mountPoint.length - a.hierarchy.mountPoint.length)[0];
    if (!tree) refuse("ENOENT");
    let place: Place = { tree, group: tree.root };
    for (const name of path.slice(tree.hierarchy.mountPoint.length).split("/").filter(Boolean)) {
      if (place.file) refuse("ENOTDIR");
      const child = place.group.children.get(name);
      const file = tree.rules.filesOf(place.group).get(name);
      if (child) place = { tree, group: child };
      else if (file) place = { tree, group: place.group, file: { name, file } };
      else refuse("ENOENT");
    }
    return place;
  }

  function findDirectory(path: string): Place {
    const place = find(path);
    if (place.file) refuse("ENOTDIR");
    return place;
  }

  function mayChange(path: string): void {
    const access = accessOf(path);
    if (access === "read-only") refuse("EROFS");
    if (access === "denied") refuse("EACCES");
  }

  const named = <Arguments extends [string, ...string[]], Result>(
    call: string,
    act: (...args: Arguments) => Result,
  ) => {
    return (...args: Arguments): Result => {
      try {
        return act(...args);
      } catch (error) {
        if (error instanceof KernelRefusal) {
          error.path = args[0];
          error.message = `${error.code}: ${call} '${args[0]}'`;
        }
        throw error;
      }
    };
  };

  return {
    read: named("read", (path) => {
      const { group, file } = find(path);
      if (!file) refuse("EISDIR");
      return file.file.read?.(group) ?? refuse("EINVAL");
    }),
    write: named("write", (path: string, data: string) => {
      const { group, file } = find(path);
      if (!file) refuse("EISDIR");
      mayChange(path);
      // An empty write does not reach the file.
      if (data === "") return;
      if (!file.file.write) refuse("EINVAL");
      file.file.write(group, data);
      tellChanges();
    }),
    mkdir: named("mkdir", (path) => {
      const { tree, group } = findDirectory(parentOf(path));
      const name = path.slice(path.lastIndexOf("/") + 1);
      if (group.children.has(name) || tree.rules.filesOf(group).has(name)) refuse("EEXIST");
      mayChange(path);
      if (name.includes("\n")) refuse("EINVAL");
      group.children.set(name, newGroup(name, group));
    }),
    rmdir: named("rmdir", (path) => {
      findDirectory(parentOf(path));
      if (accessOf(path) === "read-only") refuse("EROFS");
      const { tree, group } = findDirectory(path);
      mayChange(path);
      if (!group.parent || group.children.size > 0 || threadsIn(tree, group).length > 0) refuse("EBUSY");
      group.parent.children.delete(group.name);
    }),
    isWritable: (path) => accessOf(path) === "full",
    realPath: (path) => path,
    exists(path) {
      try {
        find(path);
        return true;
      } catch {
        return false;
      }
    },
    isFile(path) {
      try {
        return find(path).file !== undefined;
      } catch {
        return false;
      }
    },
    hasProcesses(path) {
      try {
        return (find(`${path}/cgroup.procs`).file?.file.read?.(find(path).group) ?? "") !== "";
      } catch {
        return false;
      }
    },
    hasPrograms: () => false,
    owner: () => process.geteuid?.(),
    children: named("scandir", (path) => [...findDirectory(path).group.children.keys()]),
    files: named("scandir", (path) => {
      const { tree, group } = findDirectory(path);
      return [...tree.rules.filesOf(group).keys()];
    }),
    watch(path, onChange) {
      const text = textOf(path);
      if (text === undefined) return undefined;
      const watch = { path, text, onChange };
      watches.add(watch);
      return { close: () => void watches.delete(watch) };
    },
    tellChanges,
  };
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
