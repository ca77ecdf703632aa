import type { Host } from "../host.ts";
import { isOutsideInitialNamespace } from "../namespaces.ts";

/**
 * Why the process connector would ignore us: it serves the pid and user namespaces that the machine booted
 * with, and takes requests from others without an answer. `undefined` when both are ours.
 */
export function checkConnectorNamespaces(host: Host): string | undefined {
  for (const kind of ["user", "pid"] as const) {
    if (!isOutsideInitialNamespace(host, kind)) continue;
    return `the process connector serves the ${kind} namespace of the machine only, and this is another: a container's?`;
  }
  return undefined;
}
