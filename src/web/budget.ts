import { cpuMsOfThread } from "./cpuTime.ts";

/** The CPU time that all requests together may take of each second: a quarter of a core. */
const BUDGET_MS = 250;
const SECOND_MS = 1000;

/** Bounds the CPU time of answers, which a daemon needs for its jobs. A program that asks without a pause gets refusals. */
export class Budget {
  readonly #nowMs: () => number;
  readonly #cpuMs: () => number;
  #spentMs = 0;
  #paidMs: number;

  /** The clocks: time that passes, and CPU time of this thread. */
  constructor(nowMs: () => number = performance.now.bind(performance), cpuMs: () => number = cpuMsOfThread) {
    this.#nowMs = nowMs;
    this.#cpuMs = cpuMs;
    this.#paidMs = nowMs();
  }

  /** Returns the answer; `undefined` where earlier ones have used up the time. */
  spend<Answer>(work: () => Answer): Answer | undefined {
    this.#pay();
    if (this.#spentMs >= BUDGET_MS) return undefined;
    const startMs = this.#cpuMs();
    try {
      return work();
    } finally {
      this.#spentMs += this.#cpuMs() - startMs;
    }
  }

  #pay(): void {
    const nowMs = this.#nowMs();
    const paid = ((nowMs - this.#paidMs) * BUDGET_MS) / SECOND_MS;
    this.#spentMs = Math.max(0, this.#spentMs - paid);
    this.#paidMs = nowMs;
  }
}
