/** The time of the hub, advanced since the last contact by the monotonic clock, which no program sets. */
export class HubClock {
  #read: { hubMs: number; atMs: number } | undefined;

  /** Call it with the time that an answer of the hub contains. */
  set(hubMs: number): void {
    this.#read = { hubMs, atMs: performance.now() };
  }

  get isKnown(): boolean {
    return this.#read !== undefined;
  }

  /** Returns the time of the hub, in ms since the epoch. Before the first contact: that of this machine. */
  now(): number {
    if (this.#read === undefined) return Date.now();
    return this.#read.hubMs + performance.now() - this.#read.atMs;
  }
}
