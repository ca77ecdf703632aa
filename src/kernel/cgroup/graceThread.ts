import { STOP, type ToGraceWorker } from "./graceProtocol.ts";
import type { Hierarchy } from "./hierarchies.ts";

/** In the single-file executable modules lie below the common root of its entry points, src/, whatever file asks. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/kernel/cgroup/graceWorker.ts"
  : new URL("./graceWorker.ts", import.meta.url).href;

/**
 * A thread that waits for the kernel's leave to move processes, while the main thread still puts on record and plans
 * what is to be moved. Every request slows forks and execs on the whole machine for some milliseconds, as every move
 * does: ask only when a move is sure to follow.
 */
export class GraceThread {
  readonly #requests = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #worker: Worker;

  constructor(hierarchies: readonly Hierarchy[]) {
    this.#worker = new Worker(WORKER_URL, { smol: true, name: "ffrtmp grace" });
    // Nothing depends on it: without this thread a move waits by itself.
    this.#worker.onerror = () => {};
    this.#worker.postMessage({ requests: this.#requests, hierarchies } satisfies ToGraceWorker);
  }

  /** Returns at once. */
  startWaiting(): void {
    Atomics.add(this.#requests, 0, 1);
    Atomics.notify(this.#requests, 0);
  }

  stop(): void {
    Atomics.store(this.#requests, 0, STOP);
    Atomics.notify(this.#requests, 0);
    this.#worker.terminate();
  }
}
