import { release } from "node:os";
import { basename } from "node:path";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import { ancestorsOf, type Hierarchy } from "./hierarchies.ts";
import type { EnabledAbove, Unavailable } from "./jobCgroup.ts";

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

/**
 * From the top down, the directories above `path` that do not give these controllers to their children now. The top of
 * all and everything on the way has to, for `path` to have them.
 */
export function listDisabledAbove(
  fs: CgroupFs,
  hierarchy: Hierarchy,
  path: string,
  controllers: readonly string[],
): EnabledAbove[] {
  return ancestorsOf(hierarchy, path)
    .reverse()
    .map((above) => ({ path: above, controllers: listDisabled(fs, above, controllers) }))
    .filter((each) => each.controllers.length > 0);
}

/** Switches controllers on from the top down; below a level that refuses one it is not tried. */
export function enableAbove(
  fs: CgroupFs,
  levels: readonly EnabledAbove[],
): { enabled: EnabledAbove[]; refusals: Unavailable[] } {
  const refusals: Unavailable[] = [];
  const enabled = levels.flatMap(({ path, controllers }) => {
    const tried = controllers.filter((name) => refusals.every(({ controller }) => controller !== name));
    const refused = enableControllers(fs, path, tried);
    refusals.push(...refused);
    const names = tried.filter((name) => refused.every(({ controller }) => controller !== name));
    return names.length === 0 ? [] : [{ path, controllers: names }];
  });
  return { enabled, refusals };
}

/**
 * Switches off what we switched on above a job, from the bottom up, where nobody else has come to use it: no other cgroup
 * there gives the controller on, or holds anything else with it than the kernel's defaults; `own` is the job's.
 */
export function disableAbove(fs: CgroupFs, levels: readonly EnabledAbove[], own?: string): void {
  for (const { path, controllers } of levels.toReversed()) disableUnused(fs, path, controllers, own);
}

function disableUnused(fs: CgroupFs, path: string, names: readonly string[], own?: string): void {
  for (const name of names) {
    if (isUsedBelow(fs, path, name, own)) continue;
    try {
      fs.write(`${path}/cgroup.subtree_control`, `-${name}`);
    } catch {
      // Gone, with its owner, or in use after all.
    }
  }
}

/** What a cgroup holds that nobody has touched. Source: "Interface Files" of cgroup-v2.rst. */
const UNTOUCHED: Record<string, Record<string, string>> = {
  cpu: { "cpu.max": "max 100000", "cpu.weight": "100", "cpu.idle": "0", "cpu.max.burst": "0" },
  cpuset: { "cpuset.cpus": "", "cpuset.mems": "", "cpuset.cpus.partition": "member" },
  pids: { "pids.max": "max" },
  io: { "io.max": "", "io.weight": "default 100", "io.latency": "" },
  memory: {
    "memory.max": "max",
    "memory.high": "max",
    "memory.low": "0",
    "memory.min": "0",
    "memory.swap.max": "max",
    "memory.oom.group": "0",
  },
};

function isUsedBelow(fs: CgroupFs, path: string, controller: string, own: string | undefined): boolean {
  const files = Object.entries(UNTOUCHED[controller] ?? {});
  try {
    return fs.children(path).some((name) => {
      const child = `${path}/${name}`;
      if (child === own) return false;
      if (readWords(fs, `${child}/cgroup.subtree_control`).includes(controller)) return true;
      return files.some(([file, text]) => (readText(fs, `${child}/${file}`) ?? text) !== text);
    });
  } catch {
    return true;
  }
}

/** Switches controllers on, one by one, so that one that is refused does not keep the others off. Returns the refusals. */
export function enableControllers(fs: CgroupFs, origin: string, names: string[]): Unavailable[] {
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
          : `${describeErrno(error)} writing "+${controller}" to ${file}`;
      return [{ controller, because }];
    }
  });
}

/**
 * The child whose processes would lose the CPU affinity that they were given (taskset, CPUAffinity=): kernel 6.1 sets it
 * anew for every process that gets a cpuset, 6.12 does not. `undefined` where there is none.
 */
function whoseAffinityWouldGo(fs: CgroupFs, origin: string): string | undefined {
  if (!cpusetBindsAnew()) return undefined;
  return childrenOf(fs, origin)
    .map((child) => `${origin}/${child}`)
    .find((path) => isPopulated(fs, path));
}

/** Whether this kernel sets the CPU affinity of every process anew that gets a cpuset: Linux before 6.12. */
export function cpusetBindsAnew(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return major < 6 || (major === 6 && minor < 12);
}

/** Whether processes live in a cgroup or below it. What cannot be read counts as populated. */
export function isPopulated(fs: CgroupFs, path: string): boolean {
  try {
    // populated 1
    return !/^populated 0$/m.test(fs.read(`${path}/cgroup.events`));
  } catch {
    return true;
  }
}

/**
 * Switches off what was switched on for the job of this directory, unless a child that is left relies on it: one that
 * another job has (their names begin alike), or one that somebody uses it in meanwhile.
 */
export function disableControllers(fs: CgroupFs, origin: string, names: string[], jobPath: string): void {
  const prefix = `${basename(jobPath).split("-", 1)[0]}-`;
  if (childrenOf(fs, origin).some((child) => child.startsWith(prefix))) return;
  disableUnused(fs, origin, names);
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
  return (readText(fs, path) ?? "").split(/\s+/).filter(Boolean);
}

function readText(fs: CgroupFs, path: string): string | undefined {
  try {
    return fs.read(path).trim();
  } catch {
    return undefined;
  }
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
