/** Shortest time between two scans of all processes: another user can cause the loss that leads to one. */
const MIN_GAP_MS = 1000;
/** Scans take at most this part of the time of the main thread. */
const MAX_SHARE = 0.1;
/** How long a scan runs before events that have arrived meanwhile are handled. */
const SLICE_MS = 5;

interface RescansOptions {
  listPids(): number[];
  /** Governs a process if the policy chooses it. Returns whether it was governed. */
  consider(pid: number): boolean;
  onFound(pid: number): void;
  onDone(): void;
}

/**
 * Scans of all processes after events were lost. The first one runs at once. A later one waits, and any number of
 * requests meanwhile lead to one scan.
 */
export class Rescans {
  readonly #options: RescansOptions;
  /** Pids that the present scan has not considered yet, the next one last. `undefined` while no scan runs. */
  #remaining: number[] | undefined;
  #busyMs = 0;
  #notBeforeMs = 0;
  #isRequested = false;
  #next: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RescansOptions) {
    this.#options = options;
  }

  /** Scans soon. What happened before the call is found by a scan that starts after it. */
  request(): void {
    this.#isRequested = true;
    if (this.#remaining !== undefined || this.#next !== undefined) return;
    const waitMs = this.#notBeforeMs - performance.now();
    if (waitMs <= 0) this.#start();
    else this.#next = setTimeout(() => this.#start(), waitMs);
  }

  stop(): void {
    clearTimeout(this.#next);
    this.#remaining = undefined;
  }

  #start(): void {
    this.#isRequested = false;
    this.#busyMs = 0;
    // procfs lists the lowest pids first, and new processes mostly have the highest.
    this.#remaining = this.#options.listPids();
    this.#continue();
  }

  #continue(): void {
    this.#next = undefined;
    const { consider, onFound, onDone } = this.#options;
    const startMs = performance.now();
    let nowMs = startMs;
    for (let pid = this.#remaining?.pop(); pid !== undefined; pid = this.#remaining?.pop()) {
      if (consider(pid)) onFound(pid);
      nowMs = performance.now();
      if (nowMs - startMs >= SLICE_MS) break;
    }
    this.#busyMs += nowMs - startMs;
    if (this.#remaining === undefined) return;
    if (this.#remaining.length > 0) {
      this.#next = setTimeout(() => this.#continue(), 0);
      return;
    }
    this.#remaining = undefined;
    this.#notBeforeMs = nowMs + Math.max(MIN_GAP_MS, this.#busyMs / MAX_SHARE);
    onDone();
    if (this.#isRequested) this.request();
  }
}
