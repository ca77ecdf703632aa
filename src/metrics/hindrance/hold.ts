/** The time for which a finding must last before it is reported, and be absent before it is withdrawn. */
const HOLD_MS = 30_000;

/** A finding that is said. Times are CLOCK_BOOTTIME, ms. */
export interface Said<Finding> {
  readonly finding: Finding;
  /** When it was found first. */
  readonly sinceBootMs: number;
  /** When it was found last. */
  readonly lastBootMs: number;
}

/**
 * Says a finding once it was the same for 30 s, and until it was absent for 30 s, so that what is said changes at most
 * once in 30 s. A finding that replaces another one leaves no gap between them. A longer time without samples ends
 * everything: nothing is known of it.
 */
export class Hold<Kind, Finding extends { readonly verdict: Kind }> {
  readonly #holdMs: number;
  #lastSampleMs: number | undefined;
  /** The present finding, and since when it is the same. */
  #candidate: { kind: Kind; sinceMs: number } | undefined;
  #said: Said<Finding> | undefined;
  /** The first sample without the finding that is said. */
  #absentSinceMs: number | undefined;
  #changedAtMs = Number.NEGATIVE_INFINITY;

  constructor(holdMs = HOLD_MS) {
    this.#holdMs = holdMs;
  }

  /**
   * Adds the finding of a sample, and returns what is said from then on. `"unknown"`: nothing could be found out, which
   * is as if there were no sample.
   */
  add(atBootMs: number, finding: Finding | "unknown" | null): Said<Finding> | null {
    if (this.#lastSampleMs !== undefined && atBootMs - this.#lastSampleMs > this.#holdMs) this.#reset();
    if (finding === "unknown") return this.#said ?? null;
    this.#lastSampleMs = atBootMs;
    if (finding === null) this.#candidate = undefined;
    else if (this.#candidate?.kind !== finding.verdict)
      this.#candidate = { kind: finding.verdict, sinceMs: atBootMs };
    this.#update(atBootMs, finding);
    return this.#said ?? null;
  }

  #update(atBootMs: number, finding: Finding | null): void {
    const said = this.#said;
    if (finding !== null && said?.finding.verdict === finding.verdict) {
      this.#said = { ...said, finding, lastBootMs: atBootMs };
      this.#absentSinceMs = undefined;
      return;
    }
    if (said !== undefined) this.#absentSinceMs ??= atBootMs;
    if (atBootMs - this.#changedAtMs < this.#holdMs) return;
    const candidate = this.#candidate;
    if (finding !== null && candidate !== undefined && atBootMs - candidate.sinceMs >= this.#holdMs) {
      this.#change(atBootMs, { finding, sinceBootMs: candidate.sinceMs, lastBootMs: atBootMs });
      return;
    }
    const absentMs = this.#absentSinceMs === undefined ? 0 : atBootMs - this.#absentSinceMs;
    // Another finding that is about to be said replaces this one.
    if (absentMs >= (candidate === undefined ? this.#holdMs : 2 * this.#holdMs))
      this.#change(atBootMs, undefined);
  }

  #change(atBootMs: number, said: Said<Finding> | undefined): void {
    this.#said = said;
    this.#absentSinceMs = undefined;
    this.#changedAtMs = atBootMs;
  }

  #reset(): void {
    this.#candidate = undefined;
    this.#change(Number.NEGATIVE_INFINITY, undefined);
  }
}
