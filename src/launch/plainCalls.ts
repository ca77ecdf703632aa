import type { CgroupCall, LaunchCalls } from "./calls.ts";

/**
 * Returns whether the calls of a launch can be repeated by their record, and undone without it: before the spawn the launch
 * made and wrote nothing but cgroups of its own, named `group`, and was refused nothing. After the spawn it only brought the
 * starting thread back (cgroup v1).
 */
export function arePlain({ before, after }: LaunchCalls, group: string): boolean {
  return before.every((call) => isPlainBefore(call, group)) && after.every(isReturn);
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

/** Returns whether a call moves the thread that makes it, and nothing else. */
export function isReturn({ call, path, data, error }: CgroupCall): boolean {
  return call === "write" && data === "0" && path.endsWith("/tasks") && error === undefined;
}
