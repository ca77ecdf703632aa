import { release } from "node:os";
import { CGROUP_LIMITS, LIMITS } from "../../../limits/table.ts";
import { describeErrno, errnoOf } from "../../../sys/errno.ts";
import type { CgroupFs } from "../../cgroupFs.ts";
import { type ControllerEnabled, changeKey } from "../../change.ts";
import { readText, readWords } from "../file.ts";
import type { JobCgroup } from "../jobCgroup.ts";

// The controllers that a cgroup gives to its children, and the types that children can have.
// Source: "Organizing Processes and Threads" of Documentation/admin-guide/cgroup-v2.rst.

/** Reads `domain`, `domain threaded`, `domain invalid` or `threaded`; `undefined` for the root of all cgroups. */
export function readType(fs: CgroupFs, path: string): string | undefined {
  return readText(fs, `${path}/cgroup.type`);
}

/** Returns whether a child can only be a threaded cgroup. The root of all cgroups, which has no type, is exempt from that. */
export function isAmongProcesses(fs: CgroupFs, origin: string): boolean {
  const type = readType(fs, origin);
  if (type === undefined) return false;
  return type !== "domain" || fs.hasProcesses(origin);
}

/** Returns the controllers that children of `path` do not have now. */
export function listDisabled(fs: CgroupFs, path: string, controllers: readonly string[]): string[] {
  const enabled = readWords(fs, `${path}/cgroup.subtree_control`);
  return controllers.filter((name) => !enabled.includes(name));
}

/**
 * Plans that the children of `path` have controllers for as long as the job needs them: enables those that are off, and
 * shares those that are on only because other jobs of ours need them. `shared` returns the keys of the changes that other
 * jobs need; it is read after the file, so that a change recorded meanwhile is seen.
 */
export function planControllers(
  fs: CgroupFs,
  hierarchy: string,
  path: string,
  controllers: readonly string[],
  shared: () => ReadonlySet<string>,
): ControllerEnabled[] {
  const disabled = listDisabled(fs, path, controllers);
  return controllers
    .map((controller): ControllerEnabled => ({ kind: "controller-enabled", hierarchy, path, controller }))
    .filter((change) => disabled.includes(change.controller) || shared().has(changeKey(change)));
}

/**
 * Enables the controllers that are off, with one write where the kernel accepts them together: each write can wait for a
 * grace period. Returns those that are on now; a refusal makes a controller unavailable for the job.
 */
export function enableControllers(job: JobCgroup, path: string, controllers: readonly string[]): string[] {
  const off = listDisabled(job.fs, path, controllers);
  // cpuset has conditions of its own.
  const together = off.filter((name) => name !== "cpuset");
  const rest = together.length > 1 && writeControllers(job.fs, path, "+", together) ? ["cpuset"] : off;
  return controllers.filter(
    (name) => !off.includes(name) || !rest.includes(name) || enableController(job, path, name),
  );
}

/** Writes `+cpu +memory`. Returns false when the kernel refuses it; then it has changed nothing. */
function writeControllers(fs: CgroupFs, path: string, sign: "+" | "-", names: readonly string[]): boolean {
  try {
    fs.write(`${path}/cgroup.subtree_control`, names.map((name) => sign + name).join(" "));
    return true;
  } catch {
    return false;
  }
}

function enableController({ fs, unavailable }: JobCgroup, path: string, controller: string): boolean {
  const refuse = (because: string): false => {
    unavailable.push({ controller, because });
    return false;
  };
  const file = `${path}/cgroup.subtree_control`;
  const children = controller === "cpuset" && cpusetResetsAffinity() ? childrenOf(fs, path) : [];
  const harmed = children.find((child) => isPopulated(fs, `${path}/${child}`));
  if (harmed !== undefined) {
    return refuse(
      `switching cpuset on in ${path} would let the processes in ${path}/${harmed} run on all CPUs again, whatever they were bound to (kernels before 6.12)`,
    );
  }
  try {
    fs.write(file, `+${controller}`);
    return true;
  } catch (error) {
    return refuse(
      errnoOf(error) === "ENOENT"
        ? `${controller} is not among the controllers of ${path} (cgroup.controllers): the cgroup above does not give it`
        : `${describeErrno(error)} writing "+${controller}" to ${file}`,
    );
  }
}

/**
 * Returns whether this kernel resets the CPU affinity (taskset, CPUAffinity=) of every process that gets a cpuset: 6.1
 * does, 6.12 does not.
 */
export function cpusetResetsAffinity(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return major < 6 || (major === 6 && minor < 12);
}

/** Returns whether processes are in a cgroup or below it. A cgroup that cannot be read counts as populated. */
export function isPopulated(fs: CgroupFs, path: string): boolean {
  try {
    // populated 1
    return !/^populated 0$/m.test(fs.read(`${path}/cgroup.events`));
  } catch {
    return true;
  }
}

/**
 * Disables controllers, each unless another cgroup uses it: one there gives it to its children, or has values other than
 * the kernel's defaults. `own` is the job's cgroup, whose values do not count.
 */
export function disableControllers(
  fs: CgroupFs,
  path: string,
  controllers: readonly string[],
  own?: string,
): void {
  // A second undo of the same change finds it off. A write would take the kernel's lock for all cgroups.
  const off = listDisabled(fs, path, controllers);
  const unused = controllers.filter((name) => !off.includes(name) && !isUsedBelow(fs, path, name, own));
  if (unused.length === 0 || writeControllers(fs, path, "-", unused) || unused.length === 1) return;
  // The kernel refuses it where the cgroup is gone with its owner, or one of the controllers is in use after all.
  for (const name of unused) writeControllers(fs, path, "-", [name]);
}

/** The text of untouched files that are not limits of ours. Source: "Interface Files" of cgroup-v2.rst. */
const UNTOUCHED: Record<string, Record<string, string>> = {
  cpu: { "cpu.idle": "0", "cpu.max.burst": "0" },
  cpuset: { "cpuset.mems": "", "cpuset.cpus.partition": "member" },
  io: { "io.bfq.weight": "default 100", "io.latency": "" },
  memory: { "memory.low": "0", "memory.min": "0", "memory.swap.max": "max", "memory.oom.group": "0" },
};

function isUsedBelow(fs: CgroupFs, path: string, controller: string, own: string | undefined): boolean {
  const limits = CGROUP_LIMITS.filter((name) => LIMITS[name].v2.controller === controller);
  const untouched = Object.fromEntries(limits.map((name) => [name, LIMITS[name].v2.untouched]));
  const files = Object.entries({ ...untouched, ...UNTOUCHED[controller] });
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

export function childrenOf(fs: CgroupFs, path: string): string[] {
  try {
    return fs.children(path);
  } catch {
    return [];
  }
}
