import { errnoOf } from "../sys/errno.ts";
import { missingDescriptors } from "../sys/fileLimit.ts";

/** Descriptors that one piece of work uses at once, with some to spare. */
const NEEDED_DESCRIPTORS = 8;
const RETRY_MS = 1000;
/** A shortage is reported at most this often; the count shows each one. */
const REPORT_INTERVAL_MS = 3_600_000;

interface PostponedWorkOptions {
  /** Does what was postponed. */
  retry(): void;
  report(reason: string): void;
  /** Returns the errno of a shortage; tests replace it. */
  findShortage?: (needed: number) => string | undefined;
}

/** Postpones work of the daemon while there are too few file descriptors for it (EMFILE, ENFILE). */
export class PostponedWork {
  /** The number of times that work was postponed since the start. */
  count = 0;
  readonly #options: PostponedWorkOptions;
  #reportedMs = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: PostponedWorkOptions) {
    this.#options = options;
  }

  /** Does the work now and returns its result, or returns `undefined` and has it done by `retry`. */
  attempt<Result>(work: () => Result): Result | undefined {
    if (this.#isShort()) return undefined;
    try {
      return work();
    } catch (error) {
      return this.#postponeIfShort(error);
    }
  }

  /** Does work that waits, and else the same. */
  async attemptAsync<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    if (this.#isShort()) return undefined;
    try {
      return await work();
    } catch (error) {
      return this.#postponeIfShort(error);
    }
  }

  /** Checked before the work, which then cannot fail halfway. */
  #isShort(): boolean {
    const { findShortage = missingDescriptors } = this.#options;
    const shortage = findShortage(NEEDED_DESCRIPTORS);
    if (shortage !== undefined) this.#postpone(shortage);
    return shortage !== undefined;
  }

  /** The limit of the whole machine (ENFILE) can be reached at any call. Throws every other error. */
  #postponeIfShort(error: unknown): undefined {
    const errno = errnoOf(error);
    if (errno !== "EMFILE" && errno !== "ENFILE") throw error;
    this.#postpone(errno);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #postpone(errno: string): void {
    this.count++;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#options.retry();
    }, RETRY_MS);
    const nowMs = performance.now();
    if (nowMs - this.#reportedMs < REPORT_INTERVAL_MS) return;
    this.#reportedMs = nowMs;
    this.#options.report(errno);
  }
}
