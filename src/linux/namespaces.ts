import { readlinkSync } from "node:fs";
import type { Host } from "./host.ts";

// include/uapi/linux/nsfs.h, before that include/linux/proc_ns.h: the inode numbers of the namespaces that a machine
// boots with, fixed since Linux 3.8 (cgroup: 4.6)
const INITIAL = {
  user: "user:[4026531837]",
  pid: "pid:[4026531836]",
  cgroup: "cgroup:[4026531835]",
} as const;

export type NamespaceKind = keyof typeof INITIAL;

/** Whether we are in another namespace than the machine's own; false where procfs does not tell. Source: /proc/self/ns. */
export function isOutsideInitialNamespace(host: Host, kind: NamespaceKind): boolean {
  try {
    return readlinkSync(`${host.procRoot}/self/ns/${kind}`) !== INITIAL[kind];
  } catch {
    return false;
  }
}
