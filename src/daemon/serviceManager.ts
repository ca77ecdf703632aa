import type { Job } from "../jobs/model/job.ts";
import * as notify from "../linux/systemd/notify.ts";
import type { ServiceVariables } from "../linux/systemd/serviceVariables.ts";
import { closeFd, duplicate } from "../sys/descriptor.ts";

/** The delay before a message is sent again to a busy manager: the first, and the longest. */
const MIN_RETRY_MS = 10;
const MAX_RETRY_MS = 1000;
/** Bounds the memory and descriptors for a manager that has stopped reading. */
const MAX_UNSENT = 8192;

type Message = { state: notify.NotifyState; fd: number | undefined };

/**
 * The service manager that started this daemon. Receives the state of the daemon, and keeps the pidfds of
 * jobs after the daemon has ended for any reason. Without a manager every call does nothing. No call waits.
 */
export class ServiceManager {
  readonly #socket: notify.NotifySocket | undefined;
  readonly #watchdogUsec: number | undefined;
  /** The names of the stored pidfds, by the key of the job. */
  readonly #storedNames = new Map<string, string>();
  /** Descriptors that were passed to this daemon at its start, until `receiveStoredPidfds`. */
  #received: ServiceVariables["storedFds"];
  /** Messages that a busy manager has not accepted yet, oldest first. */
  #unsent: Message[] = [];
  #status = "";
  /** `undefined` after the first warning. */
  #warn: ((message: string) => void) | undefined;

  constructor(variables: ServiceVariables, warn: (message: string) => void) {
    this.#warn = warn;
    this.#watchdogUsec = variables.watchdogUsec;
    this.#received = variables.storedFds;
    const { notifySocket } = variables;
    const socket = notifySocket === undefined ? undefined : notify.NotifySocket.open(notifySocket);
    if (socket instanceof notify.NotifySocket) this.#socket = socket;
    else if (socket !== undefined) this.#warnOnce(socket.reason);
  }

  /** Reports that the daemon works: after its start, and after each `reloading`. */
  ready(): void {
    this.#send(notify.READY);
  }

  reloading(): void {
    this.#send(notify.reloading());
  }

  stopping(): void {
    this.#send(notify.STOPPING);
  }

  /** Sets the line that `systemctl status` shows. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#send({ STATUS: text });
  }

  /**
   * Resets the manager's watchdog twice in each of its intervals while `isAlive` returns true, on the main
   * loop: a hanging daemon does not reset it. Returns a function that stops the resets.
   */
  startWatchdog(isAlive: () => boolean): () => void {
    if (this.#watchdogUsec === undefined || this.#socket === undefined) return () => {};
    const reset = () => {
      if (isAlive()) this.#send(notify.WATCHDOG);
    };
    reset();
    const timer = setInterval(reset, this.#watchdogUsec / 2000);
    return () => clearInterval(timer);
  }

  /** Stores a copy of a job's pidfd with the manager, once for each job. */
  storePidfd({ key, jobId }: Pick<Job, "key" | "jobId">, pidfd: number | undefined): void {
    if (pidfd === undefined || this.#socket === undefined || this.#storedNames.has(key)) return;
    // Shown by `systemd-analyze fdstore`. A job id contains no `@`, and a key is never used again.
    const name = `${jobId}@${key}`;
    if (!notify.isFdName(name)) return;
    this.#storedNames.set(key, name);
    this.#send(notify.storeFd(name), pidfd);
  }

  /** Drops the pidfd of a job whose result is recorded, or which was released. */
  dropPidfd({ key }: Pick<Job, "key">): void {
    const name = this.#storedNames.get(key);
    if (name === undefined) return;
    this.#storedNames.delete(key);
    this.#send(notify.dropFd(name));
  }

  dropAllExcept(open: ReadonlyMap<string, unknown>): void {
    for (const key of [...this.#storedNames.keys()]) if (!open.has(key)) this.dropPidfd({ key });
  }

  /**
   * Returns the pidfds that the manager kept while no daemon ran; none at a second call. A descriptor that no
   * ffrtmp stored has no key. The caller closes them. The manager keeps its copies.
   */
  receiveStoredPidfds(): { key: string | undefined; fd: number }[] {
    return this.#received.splice(0).map(({ name, fd }) => {
      const key = name.includes("@") ? name.slice(name.lastIndexOf("@") + 1) : undefined;
      if (key === undefined) this.#send(notify.dropFd(name));
      else this.#storedNames.set(key, name);
      return { key, fd };
    });
  }

  #send(state: notify.NotifyState, fd?: number): void {
    if (this.#socket === undefined) return;
    if (this.#unsent.length === 0 && this.#trySending({ state, fd })) return;
    if (this.#unsent.length >= MAX_UNSENT) return;
    // The caller may close its descriptor before the next try, and its number may become another file's.
    const copy = fd === undefined ? undefined : duplicate(fd);
    if (copy !== undefined && copy < 0) return;
    this.#unsent.push({ state, fd: copy });
    if (this.#unsent.length === 1) this.#sendLater(MIN_RETRY_MS);
  }

  #sendLater(delayMs: number): void {
    setTimeout(() => {
      const before = this.#unsent.length;
      while (this.#unsent[0] !== undefined && this.#trySending(this.#unsent[0])) {
        const fd = this.#unsent.shift()?.fd;
        if (fd !== undefined) closeFd(fd);
      }
      const left = this.#unsent.length;
      if (left > 0) this.#sendLater(left < before ? MIN_RETRY_MS : Math.min(2 * delayMs, MAX_RETRY_MS));
    }, delayMs);
  }

  /** Returns false if the message must be sent again. */
  #trySending({ state, fd }: Message): boolean {
    const sent = this.#socket?.send(state, fd);
    if (typeof sent === "object") this.#warnOnce(sent.reason);
    return sent !== "busy";
  }

  #warnOnce(reason: string): void {
    this.#warn?.(`cannot reach the service manager (${reason}); governing continues without it`);
    this.#warn = undefined;
  }
}
