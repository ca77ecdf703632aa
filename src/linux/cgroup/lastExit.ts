import type { FileWatch } from "../fileWatch.ts";
import type { JobCgroup } from "./jobCgroup.ts";
import { isPopulated } from "./subtreeControl.ts";

/**
 * Calls back, possibly more than once, when nobody is left in a job's cgroup or below it. Who has gone before the call is
 * not told of: look once after it. Source: cgroup.events, "[Un]populated Notification" of cgroup-v2.rst.
 *
 * Returns `undefined` where nothing tells: cgroup v1 starts a program of the whole hierarchy for that (release_agent), which
 * is the machine's.
 */
export function watchLastExit({ fs, directories }: JobCgroup, onEmpty: () => void): FileWatch | undefined {
  const unified = directories.find(
    ({ hierarchy, placedAs }) => hierarchy.version === 2 && placedAs !== "in-place",
  );
  if (!unified) return undefined;
  const { path } = unified;
  return fs.watch(`${path}/cgroup.events`, () => {
    // systemd listens too, and may have cleared a scope away with all that is in it.
    if (!fs.exists(path) || !isPopulated(fs, path)) onEmpty();
  });
}
