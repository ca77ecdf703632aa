import { release } from "node:os";
import { type Host, readProcFile } from "../host.ts";

/** How the operator can turn the mount option on for a kernel. `undefined`: this kernel has no such option. */
export interface FavorDynmods {
  isOn: boolean;
  /** Of this kernel: on its command line, and by a remount. */
  ways: string[];
  /** This kernel cannot turn the option off again before the next boot. */
  isFinal: boolean;
}

/**
 * Reads whether moves between cgroups skip the wait for a grace period: the mount option favordynmods, of v1 and v2
 * (Documentation/admin-guide/cgroup-v2.rst). One hierarchy with it is enough: all share cgroup_threadgroup_rwsem.
 */
export function readFavorDynmods(host: Host, version = release()): FavorDynmods {
  const mounts = readProcFile(host, "self/mountinfo").split("\n");
  // 42 32 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,favordynmods
  const isOn = mounts.some((line) => / - cgroup2? .*[ ,]favordynmods(?:,|$)/.test(line));
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const isAtLeast = (wantedMajor: number, wantedMinor: number): boolean =>
    major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  const ways = [
    ...(isAtLeast(6, 7) ? ["cgroup_favordynmods=1 on the kernel command line"] : []),
    ...(isAtLeast(6, 0) ? ["mount -o remount,favordynmods of a cgroup file system"] : []),
  ];
  // With the lock of each process, kernel/cgroup/cgroup.c: cgroup_favor_dynmods().
  return { isOn, ways, isFinal: isAtLeast(6, 18) };
}
