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

/** In the single-file executable modules lie below the common root of its entry points, src/, whatever file asks. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/linux/events/epollWorker.ts"
  : new URL("./epollWorker.ts", import.meta.url).href;

export interface EpollThreadHandlers {
  onRecords: (records: Iterable<EventRecord>) => void;
  onFailure: (reason: string) => void;
}

/**
 * A thread that sleeps in epoll_wait and tells the main thread what woke it.
 *
 * Descriptors are added and removed from the main thread directly: the kernel allows it while the other
 * thread waits, so that the two need no messages for it.
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

  /** Returns once the thread listens, or why it does not. */
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
    const limit = setTimeout(() => this.#onReady("the event thread did not start"), START_TIMEOUT_MS);
    const reason = await ready;
    clearTimeout(limit);
    return reason;
  }

  /** Edge-triggered: told once when the process ends and once when it is collected. Returns 0 or −errno. */
  add(pidfd: number, key: number): number {
    return addToEpoll(this.#epollFd, pidfd, EPOLLIN | EPOLLET, key);
  }

  remove(pidfd: number): void {
    removeFromEpoll(this.#epollFd, pidfd);
  }

  /** The descriptors are closed only when the thread has left them: their numbers would soon be others'. */
  async stop(): Promise<void> {
    const [worker, epollFd, stopFd] = [this.#worker, this.#epollFd, this.#stopFd];
    this.#worker = undefined;
    this.#epollFd = -1;
    this.#stopFd = -1;
    if (worker !== undefined) {
      const hasLeft = await this.#leaves(stopFd);
      worker.terminate();
      if (!hasLeft) return;
    }
    for (const fd of [stopFd, epollFd]) if (fd >= 0) closeFd(fd);
  }

  async #leaves(stopFd: number): Promise<boolean> {
    const left = Promise.withResolvers<boolean>();
    this.#onStopped = () => left.resolve(true);
    const limit = setTimeout(() => left.resolve(false), STOP_TIMEOUT_MS);
    signalEventfd(stopFd);
    const hasLeft = await left.promise;
    clearTimeout(limit);
    return hasLeft;
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
