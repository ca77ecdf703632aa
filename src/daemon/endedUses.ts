import type { JobUse } from "../metrics/jobUse.ts";

/** The last uses of so many ended jobs are kept for this time, so that readers that come once a minute see them. */
const KEEP_MS = 300_000;
const MAX = 500;

/** The last readings of jobs that ended a short time ago. */
export class EndedUses {
  readonly #ended: { use: JobUse; atMs: number }[] = [];

  add(use: JobUse): void {
    this.#ended.push({ use: { ...use, before: null }, atMs: performance.now() });
    if (this.#ended.length > MAX) this.#ended.shift();
  }

  /** Returns them, the latest last. */
  list(): JobUse[] {
    const sinceMs = performance.now() - KEEP_MS;
    while (this.#ended[0] !== undefined && this.#ended[0].atMs < sinceMs) this.#ended.shift();
    return this.#ended.map(({ use }) => use);
  }
}
