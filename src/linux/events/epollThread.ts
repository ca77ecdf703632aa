import { closeFd } from "../../sys/descriptor.ts";
import {
  addToEpoll,
  createEpoll,
  createEventfd,
  EPOLLERR,
  EPOLLET,
  EPOLLIN,
  removeFromEpoll,
  signalEventfd,
} from "../../sys/epoll.ts";
import { errnoName } from "../../sys/errno.ts";
import { type EventRecord, readEventRecords } from "./eventRecords.ts";
import { CONNECTOR_KEY, type FromWorker, STOP_KEY, type ToWorker } from "./workerProtocol.ts";

const START_TIMEOUT_MS = 5000;
const STOP_TIMEOUT_MS = 2000;

/** In the single-file executable, module paths are relative to the common root of its entry points, src/. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/linux/events/epollWorker.ts"
  : new URL("./epollWorker.ts", import.meta.url).href;

export interface EpollThreadHandlers {
  onRecords: (records: Iterable<EventRecord>) => void;
  onFailure: (reason: string) => void;
}

/**
 * A thread that sleeps in epoll_wait and reports to the main thread what woke it.
 *
 * The main thread adds and removes descriptors directly, without messages: the kernel allows it while the
 * other thread waits.
 */
export class EpollThread {
  readonly #handlers: EpollThreadHandlers;
  #epollFd = -1;
  #stopFd = -1;
  #worker: Worker | undefined;
  #onReady: (reason: string | undefined) => void = () => {};
  #onStopped: () => void = () => {};

  constructor(handlers: EpollThreadHandlers) {
    this.#handlers = handlers;
  }

  /** Starts the thread. Resolves to `undefined` once it waits for events, or to why it does not. */
  async start(connectorFd: number | null): Promise<string | undefined> {
    this.#epollFd = createEpoll();
    if (this.#epollFd < 0) return `epoll_create1: ${errnoName(this.#epollFd)}`;
    this.#stopFd = createEventfd();
    if (this.#stopFd < 0) return `eventfd2: ${errnoName(this.#stopFd)}`;
    addToEpoll(this.#epollFd, this.#stopFd, EPOLLIN, STOP_KEY);
    if (connectorFd !== null) addToEpoll(this.#epollFd, connectorFd, EPOLLIN | EPOLLERR, CONNECTOR_KEY);

    const ready = new Promise<string | undefined>((resolve) => {
      this.#onReady = resolve;
    });
    this.#worker = this.#createWorker();
    this.#worker.postMessage({ epollFd: this.#epollFd, connectorFd } satisfies ToWorker);
    const timeout = setTimeout(
      () => this.#onReady("the event thread did not start in time"),
      START_TIMEOUT_MS,
    );
    const reason = await ready;
    clearTimeout(timeout);
    return reason;
  }

  /**
   * Adds a pidfd. It is edge-triggered: reported once when the process ends and once when it is reaped.
   * Returns 0 or −errno.
   */
  add(pidfd: number, key: number): number {
    return addToEpoll(this.#epollFd, pidfd, EPOLLIN | EPOLLET, key);
  }

  remove(pidfd: number): void {
    removeFromEpoll(this.#epollFd, pidfd);
  }

  /**
   * Stops the thread, then closes its descriptors. Closed earlier, their numbers could be reused while it
   * waits.
   */
  async stop(): Promise<void> {
    const [worker, epollFd, stopFd] = [this.#worker, this.#epollFd, this.#stopFd];
    this.#worker = undefined;
    this.#epollFd = -1;
    this.#stopFd = -1;
    if (worker !== undefined) {
      const hasStopped = await this.#waitForStop(stopFd);
      worker.terminate();
      if (!hasStopped) return;
    }
    for (const fd of [stopFd, epollFd]) if (fd >= 0) closeFd(fd);
  }

  async #waitForStop(stopFd: number): Promise<boolean> {
    const stopped = Promise.withResolvers<boolean>();
    this.#onStopped = () => stopped.resolve(true);
    const timeout = setTimeout(() => stopped.resolve(false), STOP_TIMEOUT_MS);
    signalEventfd(stopFd);
    const hasStopped = await stopped.promise;
    clearTimeout(timeout);
    return hasStopped;
  }

  #createWorker(): Worker {
    const worker = new Worker(WORKER_URL, { smol: true, name: "ffrtmp events" });
    worker.onmessage = ({ data }: { data: FromWorker }) => {
      if (data.kind === "records") this.#handlers.onRecords(readEventRecords(data.numbers));
      else if (data.kind === "ready") this.#onReady(undefined);
      else this.#onStopped();
    };
    worker.onerror = ({ message }) => this.#fail(`the event thread failed: ${message}`);
    return worker;
  }

  #fail(reason: string): void {
    this.#worker = undefined;
    this.#onReady(reason);
    this.#handlers.onFailure(reason);
  }
}
