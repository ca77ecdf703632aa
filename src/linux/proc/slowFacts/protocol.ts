import type { Answer, SlowRead } from "./slowFacts.ts";

export interface ToReader {
  procRoot: string;
  reads: readonly SlowRead[];
  /** Numbers at the indexes in PROGRESS. */
  shared: Int32Array<SharedArrayBuffer>;
}

export const PROGRESS = {
  /** The index of the read that the thread is in: −1 before the first, their number after the last. */
  current: 0,
  /** 1 when the thread must not start the rest of the reads, which another one does. */
  isAbandoned: 1,
} as const;

/** The answers to the first reads, in their order; to all reads unless they were abandoned. */
export type FromReader = (Answer | undefined)[];
