import type { Hierarchy } from "../hierarchies.ts";

export interface ToMoveLockWorker {
  /** One number: how often a wait was asked for, or STOP. */
  requests: Int32Array<SharedArrayBuffer>;
  hierarchies: readonly Hierarchy[];
}

export const STOP = -1;
