import type { Bound } from "./capacity.ts";
import type { Peak } from "./together.ts";

/** The number of further streams that fit. */
export interface Capacity {
  /** The job or the rule that the further streams are like. */
  readonly like: string | null;
  /** The need of one of them. `null`: not known. */
  readonly candidate: Peak | null;
  /** The ids of the streams that run now. */
  readonly streams: readonly string[];
  /** The need of these together. `null`: not known. */
  readonly running: Peak | null;
  /** `null`: not known. */
  readonly fits: number | null;
  /** The known bounds. */
  readonly bounds: readonly Bound[];
  /** Why something is not known, and what would help. */
  readonly unknown: readonly string[];
}

/** Returns the bound that allows the fewest streams. */
export function bindingOf(bounds: readonly Bound[]): Bound | undefined {
  return bounds.toSorted((a, b) => a.fits - b.fits)[0];
}
