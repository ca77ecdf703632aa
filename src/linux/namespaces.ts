import { readlinkSync } from "node:fs";
import type { Host } from "./host.ts";

// The inode numbers of the initial namespaces, fixed since Linux 3.8 (cgroup: 4.6):
// include/uapi/linux/nsfs.h, before that include/linux/proc_ns.h
const INITIAL = {
  user: "user:[4026531837]",
  pid: "pid:[4026531836]",
  cgroup: "cgroup:[4026531835]",
} as const;

export type NamespaceKind = keyof typeof INITIAL;

/**
 * Returns whether this process is in another namespace than the initial one of the machine; false where
 * procfs does not show it.
 * Source: /proc/self/ns.
 */
export function isOutsideInitialNamespace(host: Host, kind: NamespaceKind): boolean {
  try {
    return readlinkSync(`${host.procRoot}/self/ns/${kind}`) !== INITIAL[kind];
  } catch {
    return false;
  }
}
