export interface ToWorker {
  epollFd: number;
  connectorFd: number | null;
}

export type FromWorker =
  | { kind: "ready" }
  | { kind: "records"; numbers: Float64Array<ArrayBuffer> }
  | { kind: "stopped" };

/** Keys in the epoll set. Watched pidfds have keys from 1 on. */
export const STOP_KEY = -1;
export const CONNECTOR_KEY = -2;
