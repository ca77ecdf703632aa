import type { Hierarchy } from "../hierarchies.ts";

export interface ToMoveLockWorker {
  /** One number: the count of warm-up requests, or STOP. */
  requests: Int32Array<SharedArrayBuffer>;
  hierarchies: readonly Hierarchy[];
}

export const STOP = -1;
