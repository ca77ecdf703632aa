/** Waits that double from the first to the longest. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(firstMs: number, maxMs: number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  /** Returns the next wait: between its half and the whole, so that a thousand nodes do not come at one moment. */
  nextMs(): number {
    const waitMs = this.#nextMs;
    this.#nextMs = Math.min(2 * waitMs, this.#maxMs);
    return (waitMs * (1 + Math.random())) / 2;
  }

  /** Begins with the first wait again. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
