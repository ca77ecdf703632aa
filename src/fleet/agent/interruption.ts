/**
 * An event for which many wait, each for a short time. `Promise.race` with a promise that lasts as long as the agent would keep a
 * part of each race until that promise settles: 1 MB a day.
 */
export class Interruption {
  readonly #waiting = new Set<() => void>();

  /** How many wait now. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Ends all waits of this moment. Later ones wait for the next time. */
  fire(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const end of waiting) end();
  }

  /** Waits for a time, or until the interruption. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#waiting.add(end);
    });
  }

  /** Settles as `work` does, or rejects with what `reason` returns at the interruption. */
  guard<T>(work: Promise<T>, reason: () => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = () => reject(reason());
      this.#waiting.add(end);
      work.then(resolve, reject).finally(() => this.#waiting.delete(end));
    });
  }
}
