import { cpuMsOfThread } from "./cpuTime.ts";

const INTERVAL_MS = 1000;
/** The part of its time in which the thread of a daemon may run on a CPU ahead of all ordinary programs. */
const MAX_PART = 0.25;
/** Longer than the interval, so that a client that asks now and then does not take a CPU every other second. */
const PAUSE_MS = 10_000;

/**
 * Takes the real-time priority from a thread that clients keep busy: every user of this machine can send requests without a
 * pause, and the runtime accepts connections and reads requests before any code of ours runs.
 */
export class BusyThread {
  readonly #pause: (ms: number) => void;
  readonly #nowMs: () => number;
  readonly #cpuMs: () => number;
  readonly #timer: ReturnType<typeof setInterval>;
  #last: { nowMs: number; cpuMs: number };
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  /** `pause` makes the thread an ordinary one for this time. The clocks: time that passes, and CPU time of this thread. */
  constructor(
    pause: (ms: number) => void,
    nowMs: () => number = performance.now.bind(performance),
    cpuMs: () => number = cpuMsOfThread,
  ) {
    this.#pause = pause;
    this.#nowMs = nowMs;
    this.#cpuMs = cpuMs;
    this.#last = { nowMs: nowMs(), cpuMs: cpuMs() };
    this.#timer = setInterval(() => this.check(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  check(): void {
    const [before, now] = [this.#last, { nowMs: this.#nowMs(), cpuMs: this.#cpuMs() }];
    this.#last = now;
    const isBusy = now.cpuMs - before.cpuMs > MAX_PART * (now.nowMs - before.nowMs);
    // The next check is after one interval: a pause that ends before it leaves a gap.
    if (!isBusy || this.#pausedUntilMs > now.nowMs + 2 * INTERVAL_MS) return;
    this.#pausedUntilMs = now.nowMs + PAUSE_MS;
    this.#pause(PAUSE_MS);
  }
}
