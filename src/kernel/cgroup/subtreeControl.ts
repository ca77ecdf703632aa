import { release } from "node:os";
import { basename } from "node:path";
import { errnoOf } from "../host.ts";
import type { CgroupFs } from "./cgroupFs.ts";
import { controllersOf } from "./controllers.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { explain } from "./knob.ts";

/**
 * cgroup v2: what a cgroup gives to its children, and what they can be.
 * Source: "Organizing Processes and Threads" of Documentation/admin-guide/cgroup-v2.rst.
 */

/** Whether a child can only be one of threads. The root of all cgroups, which has no type, is free of that rule. */
export function isAmongProcesses(fs: CgroupFs, origin: string): boolean {
  const type = readType(fs, origin);
  if (type === undefined) return false;
  if (type !== "domain") return true;
  try {
    return fs.read(`${origin}/cgroup.procs`) !== "";
  } catch {
    return false;
  }
}

/** `domain`, `domain threaded`, `domain invalid` or `threaded`; `undefined` for the root of all cgroups. */
export function readType(fs: CgroupFs, path: string): string | undefined {
  try {
    return fs.read(`${path}/cgroup.type`).trim();
  } catch {
    return undefined;
  }
}

/** The controllers of these that children of `origin` do not have now. */
export function listDisabled(fs: CgroupFs, origin: string, controllers: readonly string[]): string[] {
  const enabled = readWords(fs, `${origin}/cgroup.subtree_control`);
  return controllers.filter((name) => !enabled.includes(name));
}

/** Switches controllers on, one by one, so that one that is refused does not keep the others off. Returns the refusals. */
export function enableControllers(
  fs: CgroupFs,
  origin: string,
  names: string[],
): { controller: string; because: string }[] {
  const file = `${origin}/cgroup.subtree_control`;
  return names.flatMap((controller) => {
    const harmed = controller === "cpuset" ? whoseAffinityWouldGo(fs, origin) : undefined;
    if (harmed !== undefined) {
      const because = `switching cpuset on in ${origin} would let the processes in ${harmed} run on all CPUs again, whatever they were bound to (kernels before 6.12)`;
      return [{ controller, because }];
    }
    try {
      fs.write(file, `+${controller}`);
      return [];
    } catch (error) {
      const because =
        errnoOf(error) === "ENOENT"
          ? `${controller} is not among the controllers of ${origin} (cgroup.controllers): the cgroup above does not give it`
          : `${explain(error)} writing "+${controller}" to ${file}`;
      return [{ controller, because }];
    }
  });
}

/**
 * The child whose processes would lose the CPU affinity that they were given (taskset, CPUAffinity=): kernel 6.1 sets it
 * anew for every process that gets a cpuset, 6.12 does not. `undefined` where there is none.
 */
function whoseAffinityWouldGo(fs: CgroupFs, origin: string): string | undefined {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  if (major > 6 || (major === 6 && minor >= 12)) return undefined;
  return childrenOf(fs, origin)
    .map((child) => `${origin}/${child}`)
    .find((path) => isPopulated(fs, path));
}

/** Whether processes live in a cgroup or below it. What cannot be read counts as populated. */
function isPopulated(fs: CgroupFs, path: string): boolean {
  try {
    // populated 1
    return !/^populated 0$/m.test(fs.read(`${path}/cgroup.events`));
  } catch {
    return true;
  }
}

/**
 * Switches off what was switched on for the job of this directory name, unless a child that is left relies on it: one
 * that another job has (their names begin alike), or one in which somebody has set a limit meanwhile.
 */
export function disableControllers(
  fs: CgroupFs,
  hierarchy: Hierarchy,
  origin: string,
  names: string[],
  jobName: string,
): void {
  if (names.length === 0) return;
  const prefix = `${basename(jobName).split("-", 1)[0]}-`;
  const children = childrenOf(fs, origin);
  if (children.some((child) => child.startsWith(prefix))) return;
  for (const name of names) {
    if (children.some((child) => setsLimit(fs, hierarchy, `${origin}/${child}`, name))) continue;
    try {
      fs.write(`${origin}/cgroup.subtree_control`, `-${name}`);
    } catch {
      // A child gives it to its own children (EBUSY): it is theirs now. Or the origin is gone, with its owner.
    }
  }
}

/** What a cgroup that nobody has configured holds, of the files that our own limits do not know. */
const UNTOUCHED: Record<string, readonly [file: string, text: string][]> = {
  cpu: [
    ["cpu.weight", "100"],
    ["cpu.idle", "0"],
  ],
  memory: [
    ["memory.min", "0"],
    ["memory.low", "0"],
    ["memory.swap.max", "max"],
    ["memory.oom.group", "0"],
  ],
  io: [["io.weight", "default 100"]],
  cpuset: [
    ["cpuset.mems", ""],
    ["cpuset.cpus.partition", "member"],
  ],
};

function setsLimit(fs: CgroupFs, hierarchy: Hierarchy, path: string, name: string): boolean {
  const controller = controllersOf(hierarchy).find((each) => each.name === name);
  const { cpuWeight: _, ...limits } = controller?.read({ fs, hierarchy, path }) ?? {};
  if (Object.keys(limits).length > 0) return true;
  return (UNTOUCHED[name] ?? []).some(([file, text]) => {
    try {
      return fs.read(`${path}/${file}`).trim() !== text;
    } catch {
      return false;
    }
  });
}

function childrenOf(fs: CgroupFs, path: string): string[] {
  try {
    return fs.children(path);
  } catch {
    return [];
  }
}

/** Empty where there is no such file. */
export function readWords(fs: CgroupFs, path: string): string[] {
  try {
    return fs.read(path).split(/\s+/).filter(Boolean);
  } catch {
    return [];
  }
}
