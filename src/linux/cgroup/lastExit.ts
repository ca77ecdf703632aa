import type { FileWatch } from "../fileWatch.ts";
import type { JobCgroup } from "./jobCgroup.ts";
import { isPopulated } from "./v2/subtreeControl.ts";

/**
 * Calls `onEmpty`, possibly more than once, when no process is left in a job's cgroup or below it. A cgroup that was empty
 * before is not reported: check it once after this call.
 * Source: cgroup.events, "[Un]populated Notification" of cgroup-v2.rst.
 *
 * Returns `undefined` where the kernel does not report it: on cgroup v1 it runs a program for the whole hierarchy
 * (release_agent), which belongs to the machine.
 */
export function watchLastExit({ fs, directories }: JobCgroup, onEmpty: () => void): FileWatch | undefined {
  const path = directories.find((each) => each.hierarchy.version === 2 && each.placedAs !== "in-place")?.path;
  if (path === undefined) return undefined;
  return fs.watch(`${path}/cgroup.events`, () => {
    // systemd watches the file too, and may have removed a scope with everything below it.
    if (!fs.exists(path) || !isPopulated(fs, path)) onEmpty();
  });
}
