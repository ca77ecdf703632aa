import type { Hierarchy } from "../hierarchies.ts";
import { STOP, type ToMoveLockWorker } from "./protocol.ts";

/** In the single-file executable modules lie below the common root of its entry points, src/, whatever file asks. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/linux/cgroup/moveLock/worker.ts"
  : new URL("./worker.ts", import.meta.url).href;

/**
 * A thread that waits for the kernel's leave to move processes, while the main thread still puts on record and plans
 * what is to be moved. Every request slows forks and execs on the whole machine for some milliseconds, as every move
 * does: ask only when a move is sure to follow.
 *
 * The first request makes the thread, which takes 1.9 MB, and gets nothing of it: a daemon that never finds a target does
 * without, and the first target does not wait for a thread to start.
 */
export class MoveLockThread {
  readonly #requests = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #hierarchies: readonly Hierarchy[];
  #creating: ReturnType<typeof setImmediate> | undefined;
  #worker: Worker | undefined;

  constructor(hierarchies: readonly Hierarchy[]) {
    this.#hierarchies = hierarchies;
  }

  /** Returns at once. */
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
    this.#worker = new Worker(WORKER_URL, { smol: true, name: "ffrtmp grace" });
    // Nothing depends on it: without this thread a move waits by itself.
    this.#worker.onerror = () => {};
    const message: ToMoveLockWorker = { requests: this.#requests, hierarchies: this.#hierarchies };
    this.#worker.postMessage(message);
  }
}
