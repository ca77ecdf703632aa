/** Shortest time between two scans of all processes: another user can cause the loss that leads to one. */
const MIN_GAP_MS = 1000;
/** Scans take at most this part of the time of the main thread. */
const MAX_SHARE = 0.1;
/** The processes that a scan considers before events that have arrived meanwhile are handled: a few ms. */
const SLICE = 32;

interface RescansOptions {
  listPids(): number[];
  /** Governs a process if the policy chooses it. Resolves to whether it was governed. */
  consider(pid: number): Promise<boolean>;
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
    void this.#continue();
  }

  async #continue(): Promise<void> {
    this.#next = undefined;
    const { consider, onFound, onDone } = this.#options;
    const startMs = performance.now();
    const pids = this.#remaining?.splice(-SLICE).reverse() ?? [];
    await Promise.all(
      pids.map(async (pid) => {
        if (await consider(pid)) onFound(pid);
      }),
    );
    const nowMs = performance.now();
    this.#busyMs += nowMs - startMs;
    if (this.#remaining === undefined) return;
    if (this.#remaining.length > 0) {
      this.#next = setTimeout(() => void this.#continue(), 0);
      return;
    }
    this.#remaining = undefined;
    this.#notBeforeMs = nowMs + Math.max(MIN_GAP_MS, this.#busyMs / MAX_SHARE);
    onDone();
    if (this.#isRequested) this.request();
  }
}
