import type { RawEvent } from "./cnProc.ts";

/** Programs that start or rename themselves more often are considered once in this time. */
const WINDOW_MS = 20;

const NONE: readonly RawEvent[] = [];

/**
 * Merges the events of a process that come in quick succession. The first exec or renaming in a window passes
 * at once; of the later ones the last passes when the window is over. Ends of threads with one status pass once.
 */
export class RepeatedEvents {
  readonly #passed = new Set<number>();
  readonly #waiting = new Map<number, RawEvent>();
  /** The last status with which another thread than the first ended, by pid. */
  readonly #threadStatuses = new Map<number, number>();
  #windowEndsMs = 0;

  /** Returns whether this event passes now. Call `startWindowIfDue` first. */
  passes(event: RawEvent): boolean {
    const { kind, pid, waitStatus } = event;
    if (kind === "thread-exit") {
      // A status contradicts an exit of the first thread once. A process can end 50,000 threads a second.
      if (this.#threadStatuses.get(pid) === waitStatus) return false;
      this.#threadStatuses.set(pid, waitStatus);
      return true;
    }
    if (kind === "exit") {
      this.#threadStatuses.delete(pid);
      // Its first thread has ended: a later exec under this pid must not be merged with one before.
      this.#passed.delete(pid);
      this.#waiting.delete(pid);
      return true;
    }
    const isFirst = !this.#passed.has(pid);
    if (isFirst) this.#passed.add(pid);
    else if (kind === "exec" || this.#waiting.get(pid)?.kind !== "exec") this.#waiting.set(pid, event);
    return isFirst;
  }

  /** Starts the next window if the present one is over. Returns the events that pass then. */
  startWindowIfDue(nowMs: number): readonly RawEvent[] {
    if (nowMs < this.#windowEndsMs) return NONE;
    this.#windowEndsMs = nowMs + WINDOW_MS;
    const due = this.#waiting.size === 0 ? NONE : [...this.#waiting.values()];
    if (due.length > 0) this.#waiting.clear();
    this.#passed.clear();
    if (this.#threadStatuses.size > 0) this.#threadStatuses.clear();
    for (const { pid } of due) this.#passed.add(pid);
    return due;
  }

  /** Returns when a waiting event passes; `Infinity` when none waits. */
  dueAtMs(): number {
    return this.#waiting.size === 0 ? Infinity : this.#windowEndsMs;
  }
}
