import { closeFd } from "../../sys/descriptor.ts";
import { addToEpoll, createEpoll, createEventfd, removeFromEpoll, signalEventfd } from "../../sys/epoll.ts";
import { errnoName } from "../../sys/errno.ts";
import { createThreads } from "../../sys/scheduling.ts";
import { NameTable } from "./nameTable.ts";
import {
  CONNECTOR_KEY,
  COUNTED,
  type ConnectorSockets,
  type EventRecord,
  type FromWorker,
  NUMBERS_PER_RECORD,
  RENAMES_KEY,
  readEventRecords,
  STOP_KEY,
  type ToWorker,
} from "./workerProtocol.ts";

const START_TIMEOUT_MS = 5000;
const STOP_TIMEOUT_MS = 2000;

/** In the single-file executable, module paths are relative to the common root of its entry points, src/. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/linux/events/epollWorker.ts"
  : new URL("./epollWorker.ts", import.meta.url).href;

/**
 * A thread that sleeps in epoll_wait and reports to the main thread what woke it. The main thread adds and
 * removes descriptors directly, which the kernel allows while the other thread waits.
 */
export class EpollThread {
  /** The main thread hears of execs under other names up to a second later. */
  readonly names = new NameTable();
  readonly #counted = new Float64Array(
    new SharedArrayBuffer(Object.keys(COUNTED).length * Float64Array.BYTES_PER_ELEMENT),
  );
  readonly #onRecords: (records: Iterable<EventRecord>) => void;
  readonly #onFailure: (reason: string) => void;
  readonly #isRealtime: boolean;
  #epollFd = -1;
  #stopFd = -1;
  #worker: Worker | undefined;
  /** Receives the state that the worker has reached, or why it has failed. */
  #onState: (state: "ready" | "stopped" | { reason: string }) => void = () => {};

  /** `isRealtime`: the thread is ahead of busy programs, and see `ToWorker`. */
  constructor(
    onRecords: (records: Iterable<EventRecord>) => void,
    onFailure: (reason: string) => void,
    isRealtime = false,
  ) {
    this.#onRecords = onRecords;
    this.#onFailure = onFailure;
    this.#isRealtime = isRealtime;
  }

  /** Starts the thread. Resolves to `undefined` once it waits for events, or to why it does not. */
  async start(connector: ConnectorSockets | null): Promise<string | undefined> {
    this.#epollFd = createEpoll();
    if (this.#epollFd < 0) return `epoll_create1: ${errnoName(this.#epollFd)}`;
    this.#stopFd = createEventfd();
    if (this.#stopFd < 0) return `eventfd2: ${errnoName(this.#stopFd)}`;
    addToEpoll(this.#epollFd, this.#stopFd, "level", STOP_KEY);
    if (connector !== null) {
      addToEpoll(this.#epollFd, connector.fd, "level", CONNECTOR_KEY);
      addToEpoll(this.#epollFd, connector.renamesFd, "level", RENAMES_KEY);
    }

    const handled = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const isRealtime = this.#isRealtime;
    const create = () => new Worker(WORKER_URL, { smol: true, name: "ffrtmp events" });
    const worker = createThreads(isRealtime, create);
    this.#worker = worker;
    worker.onmessage = ({ data }: { data: FromWorker }) => {
      if (typeof data === "string") return this.#onState(data);
      this.#onRecords(readEventRecords(data));
      Atomics.add(handled, 0, data.length / NUMBERS_PER_RECORD);
      Atomics.notify(handled, 0);
    };
    worker.onerror = ({ message }) => {
      const reason = `the event thread failed: ${message}`;
      this.#worker = undefined;
      this.#onState({ reason });
      this.#onFailure(reason);
    };
    const sockets = connector && { fd: connector.fd, renamesFd: connector.renamesFd };
    worker.postMessage({
      epollFd: this.#epollFd,
      connector: sockets,
      handled,
      counted: this.#counted,
      names: this.names.bytes,
      isRealtime,
    } satisfies ToWorker);
    return this.#waitFor("ready", START_TIMEOUT_MS);
  }

  /** Returns a count since the start of the thread. No record reports these events. */
  counted(what: keyof typeof COUNTED): number {
    return this.#counted[COUNTED[what]] as number;
  }

  /** Adds a pidfd, reported once when the process ends and once when it is reaped. Returns 0 or −errno. */
  add(pidfd: number, key: number): number {
    return addToEpoll(this.#epollFd, pidfd, "edge", key);
  }

  remove(pidfd: number): void {
    removeFromEpoll(this.#epollFd, pidfd);
  }

  /** Stops the thread, then closes its descriptors, whose numbers could be reused while the thread waits. */
  async stop(): Promise<void> {
    const [worker, epollFd, stopFd] = [this.#worker, this.#epollFd, this.#stopFd];
    this.#worker = undefined;
    this.#epollFd = -1;
    this.#stopFd = -1;
    if (worker !== undefined) {
      signalEventfd(stopFd);
      const reason = await this.#waitFor("stopped", STOP_TIMEOUT_MS);
      worker.terminate();
      if (reason !== undefined) return;
    }
    for (const fd of [stopFd, epollFd]) if (fd >= 0) closeFd(fd);
  }

  /** Resolves to `undefined` once the worker has reached a state, or to why it has not. */
  async #waitFor(state: "ready" | "stopped", timeoutMs: number): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#onState = (reached) => {
      if (reached === state) resolve(undefined);
      else if (typeof reached === "object") resolve(reached.reason);
    };
    const timeout = setTimeout(resolve, timeoutMs, "the event thread did not start in time");
    const reason = await promise;
    clearTimeout(timeout);
    return reason;
  }
}
