import { closeSync, openSync } from "node:fs";
import { enterNetworkNamespace, openSockDiag } from "../../sys/sockDiag.ts";
import type { FromNamespaceWorker, ToNamespaceWorker } from "./namespaceProtocol.ts";

declare const self: {
  onmessage: (message: { data: ToNamespaceWorker }) => void;
  postMessage(message: FromNamespaceWorker): void;
};

const NO_SUCH_PROCESS = -3;

/**
 * Opens sockets in network namespaces. A thread enters a namespace alone, and this one does nothing else, so it stays in
 * the last one. The descriptors belong to the whole process.
 */
self.onmessage = ({ data: { id, path } }) => {
  self.postMessage({ id, fd: openIn(path) });
};

function openIn(path: string): number {
  let namespace: number;
  try {
    namespace = openSync(path, "r");
  } catch {
    return NO_SUCH_PROCESS;
  }
  const entered = enterNetworkNamespace(namespace);
  closeSync(namespace);
  return entered < 0 ? entered : openSockDiag();
}
