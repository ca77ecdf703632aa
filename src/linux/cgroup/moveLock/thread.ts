import { createThreads } from "../../../sys/scheduling.ts";
import type { Hierarchy } from "../hierarchies.ts";
import { STOP, type ToMoveLockWorker } from "./warmUp.ts";

/** In the single-file executable, module paths are relative to the common root of its entry points, src/. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/linux/cgroup/moveLock/worker.ts"
  : new URL("./worker.ts", import.meta.url).href;

/**
 * A thread that warms up the kernel's lock for moves (`warmUpMoveLock`) while the main thread still plans and records a
 * move. Each request slows forks and execs on the whole machine for some milliseconds, as each move does: request one only
 * when a move is sure to follow.
 *
 * The first request only creates the thread, which takes 1.9 MB. A daemon that never finds a target needs no thread, and
 * the first target does not wait for the start of one.
 */
export class MoveLockThread {
  readonly #requests = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #hierarchies: readonly Hierarchy[];
  readonly #isRealtime: boolean;
  #creating: ReturnType<typeof setImmediate> | undefined;
  #worker: Worker | undefined;

  /** `isRealtime`: the thread is ahead of busy programs. */
  constructor(hierarchies: readonly Hierarchy[], isRealtime = false) {
    this.#hierarchies = hierarchies;
    this.#isRealtime = isRealtime;
  }

  requestWarmUp(): void {
    if (this.#worker === undefined) {
      this.#creating ??= setImmediate(() => this.#create());
      return;
    }
    Atomics.add(this.#requests, 0, 1);
    Atomics.notify(this.#requests, 0);
  }

  stop(): void {
    clearImmediate(this.#creating);
    Atomics.store(this.#requests, 0, STOP);
    Atomics.notify(this.#requests, 0);
    this.#worker?.terminate();
  }

  #create(): void {
    const create = () => new Worker(WORKER_URL, { smol: true, name: "ffrtmp move lock" });
    this.#worker = createThreads(this.#isRealtime, create);
    // Nothing depends on this thread: without it, the move itself waits for the lock.
    this.#worker.onerror = () => {};
    const message: ToMoveLockWorker = { requests: this.#requests, hierarchies: this.#hierarchies };
    this.#worker.postMessage(message);
  }
}
