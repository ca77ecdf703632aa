import { readlinkSync } from "node:fs";
import type { Host } from "../host.ts";

// include/linux/proc_ns.h: the inode numbers of the namespaces that a machine boots with, fixed since Linux 3.8
const INITIAL = { user: "user:[4026531837]", pid: "pid:[4026531836]" } as const;

/**
 * Why the process connector would ignore us: it serves the pid and user namespaces that the machine booted
 * with, and takes requests from others without an answer. `undefined` when both are ours, or procfs does
 * not tell. Source: /proc/self/ns.
 */
export function explainForeignNamespace(host: Host): string | undefined {
  for (const [kind, initial] of Object.entries(INITIAL)) {
    const own = readNamespace(host, kind);
    if (own !== undefined && own !== initial) {
      return `the process connector serves the ${kind} namespace of the machine only, and this is another: a container's?`;
    }
  }
  return undefined;
}

function readNamespace(host: Host, kind: string): string | undefined {
  try {
    return readlinkSync(`${host.procRoot}/self/ns/${kind}`);
  } catch {
    return undefined;
  }
}
