import type { Host } from "../host.ts";
import { readLink } from "./table.ts";

// The inode numbers of the initial namespaces, fixed since Linux 3.8 (cgroup: 4.6):
// include/uapi/linux/nsfs.h, before that include/linux/proc_ns.h
const INITIAL = {
  user: "user:[4026531837]",
  pid: "pid:[4026531836]",
  cgroup: "cgroup:[4026531835]",
} as const;

/** Returns whether this process is in another namespace than the initial one; false where procfs hides it. */
export function isOutsideInitialNamespace(host: Host, kind: keyof typeof INITIAL): boolean {
  const link = readLink(host, `self/ns/${kind}`);
  return link !== undefined && link !== INITIAL[kind];
}
