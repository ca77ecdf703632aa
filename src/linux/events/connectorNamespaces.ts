import type { Host } from "../host.ts";
import { isOutsideInitialNamespace } from "../namespaces.ts";

/**
 * Returns why the process connector would ignore this process: it serves the initial pid and user namespaces
 * only, and accepts requests from other ones without answering. `undefined` when both are the initial ones.
 */
export function checkConnectorNamespaces(host: Host): string | undefined {
  for (const kind of ["user", "pid"] as const) {
    if (!isOutsideInitialNamespace(host, kind)) continue;
    return `the process connector serves only the initial ${kind} namespace, and this process is in another one (a container?)`;
  }
  return undefined;
}
