import type { CgroupCall, LaunchCalls } from "./calls.ts";

/**
 * Returns whether the calls of a launch can be repeated by their record, and undone without it: before the spawn the launch
 * made and wrote nothing but cgroups of its own, named `group`, and was refused nothing. After the spawn it only brought the
 * starting thread back (cgroup v1).
 */
export function arePlain({ before, after }: LaunchCalls, group: string): boolean {
  for (const call of before) if (!isPlainBefore(call, group)) return false;
  for (const call of after) if (!isReturn(call)) return false;
  return true;
}

function isPlainBefore({ call, path, error }: CgroupCall, group: string): boolean {
  switch (call) {
    case "mkdir":
      return error === undefined && isOwn(`${path}/`, group);
    case "write":
      return error === undefined && isOwn(path, group);
    case "rmdir":
      return false;
    default:
      return true;
  }
}

/** Returns whether a path leads into a cgroup of the launch, or into its scope. */
export function isOwn(path: string, group: string): boolean {
  return (path.includes(`/${group}/`) || path.includes(`/${group}.scope/`)) && !path.includes("/../");
}

/** Returns whether a call moved the thread that made it, and nothing else. */
function isReturn(call: CgroupCall): boolean {
  return call.error === undefined && movesThread(call);
}

/** Returns whether a call moves the thread that makes it, in at least one hierarchy, unless the kernel refuses it in all. */
export function movesThread({ call, path, data }: CgroupCall): boolean {
  return call === "write" && data === "0" && path.endsWith("/tasks");
}
