import { errnoOf } from "../host.ts";
import type { CgroupFs } from "./cgroupFs.ts";
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

/** Only once nothing else lies there: another job, ours or not, may rely on what we switched on. */
export function disableControllers(fs: CgroupFs, origin: string, names: string[]): void {
  if (names.length === 0 || hasChildren(fs, origin)) return;
  for (const name of names) {
    try {
      fs.write(`${origin}/cgroup.subtree_control`, `-${name}`);
    } catch {
      // Somebody made a child in between and uses the controller: it is theirs now.
    }
  }
}

/** One that is gone, with its owner, needs no more care. */
function hasChildren(fs: CgroupFs, path: string): boolean {
  try {
    return fs.children(path).length > 0;
  } catch {
    return true;
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
