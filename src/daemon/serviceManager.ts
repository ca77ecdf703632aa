import type { Job } from "../jobs/model/job.ts";
import {
  dropFd,
  isFdName,
  NotifySocket,
  type NotifyState,
  READY,
  reloading,
  STOPPING,
  storeFd,
  WATCHDOG,
} from "../linux/systemd/notify.ts";
import type { ServiceVariables } from "../linux/systemd/serviceVariables.ts";
import { closeFd, duplicate } from "../sys/descriptor.ts";

/** How soon it is tried again with a manager that was busy: at first, and after it stays so. */
const FIRST_RETRY_MS = 10;
const LAST_RETRY_MS = 1000;
/** A manager that has stopped reading must not fill our memory and descriptors. */
const MAX_UNSENT = 8192;

type NamedJob = Pick<Job, "key" | "jobId">;

/** A pidfd that the manager held for a job while no daemon ran. */
export interface HeldPidfd {
  /** The job's key; `undefined` for what we never gave it. */
  key: string | undefined;
  fd: number;
}

interface Message {
  state: NotifyState;
  fd: number | undefined;
}

/**
 * The service manager that started this daemon: it is told how the daemon fares, and holds the pidfds of jobs over
 * the daemon's end, however that comes. Without one every call does nothing, and no call ever waits for it.
 */
export class ServiceManager {
  readonly #socket: NotifySocket | undefined;
  readonly #watchdogUsec: number | undefined;
  readonly #warn: (message: string) => void;
  /** Names of what it holds, by the key of the job. */
  readonly #heldNames = new Map<string, string>();
  #stored: ServiceVariables["storedFds"];
  /** What it has had no room for yet, oldest first. */
  #unsent: Message[] = [];
  #status = "";
  #hasWarned = false;

  constructor(variables: ServiceVariables, warn: (message: string) => void) {
    this.#warn = warn;
    this.#watchdogUsec = variables.watchdogUsec;
    this.#stored = variables.storedFds;
    if (variables.notifySocket === undefined) return;
    const socket = NotifySocket.open(variables.notifySocket);
    if ("reason" in socket) this.#complain(socket.reason);
    else this.#socket = socket;
  }

  /** The daemon governs: after its start, and again after each `reloading`. */
  ready(): void {
    this.#send(READY);
  }

  reloading(): void {
    this.#send(reloading());
  }

  stopping(): void {
    this.#send(STOPPING);
  }

  /** One line for people, shown by `systemctl status`. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#send({ STATUS: text });
  }

  /**
   * Tells it twice in each of its intervals that we live, as long as `isAlive` says so. It is asked by the main loop:
   * one that hangs says nothing. Returns what ends the telling.
   */
  keepAlive(isAlive: () => boolean): () => void {
    if (this.#watchdogUsec === undefined || this.#socket === undefined) return () => {};
    const beat = () => {
      if (isAlive()) this.#send(WATCHDOG);
    };
    beat();
    const timer = setInterval(beat, this.#watchdogUsec / 2000);
    return () => clearInterval(timer);
  }

  /** Gives it a copy of a job's pidfd to hold; done once for each job. */
  keep(job: NamedJob, pidfd: number | undefined): void {
    if (pidfd === undefined || this.#socket === undefined || this.#heldNames.has(job.key)) return;
    const name = nameOf(job);
    if (!isFdName(name)) return;
    this.#heldNames.set(job.key, name);
    this.#send(storeFd(name), pidfd);
  }

  /** The job's result is on record, or it was released. */
  forget({ key }: Pick<Job, "key">): void {
    const name = this.#heldNames.get(key);
    if (name === undefined) return;
    this.#heldNames.delete(key);
    this.#send(dropFd(name));
  }

  /** Forgets every job but these. */
  keepOnly(open: ReadonlyMap<string, unknown>): void {
    for (const key of [...this.#heldNames.keys()]) if (!open.has(key)) this.forget({ key });
  }

  /** What it held while no daemon ran: to be called once. The descriptors are the caller's; it goes on holding copies. */
  takeStoredPidfds(): HeldPidfd[] {
    const stored = this.#stored;
    this.#stored = [];
    return stored.map(({ name, fd }) => {
      const key = name.includes("@") ? name.slice(name.lastIndexOf("@") + 1) : undefined;
      if (key === undefined) this.#send(dropFd(name));
      else this.#heldNames.set(key, name);
      return { key, fd };
    });
  }

  #send(state: NotifyState, fd?: number): void {
    if (this.#socket === undefined) return;
    if (this.#unsent.length === 0 && this.#trySending({ state, fd })) return;
    if (this.#unsent.length >= MAX_UNSENT) return;
    // By the time of the next try the caller may have closed its own, and the number may be another file's.
    const copy = fd === undefined ? undefined : duplicate(fd);
    if (copy !== undefined && copy < 0) return;
    this.#unsent.push({ state, fd: copy });
    if (this.#unsent.length === 1) this.#sendLater(FIRST_RETRY_MS);
  }

  #sendLater(delayMs: number): void {
    setTimeout(() => {
      const before = this.#unsent.length;
      while (this.#unsent[0] !== undefined && this.#trySending(this.#unsent[0])) {
        const fd = this.#unsent.shift()?.fd;
        if (fd !== undefined) closeFd(fd);
      }
      const left = this.#unsent.length;
      if (left > 0) this.#sendLater(left < before ? FIRST_RETRY_MS : Math.min(2 * delayMs, LAST_RETRY_MS));
    }, delayMs);
  }

  /** False when it has to be tried again. */
  #trySending({ state, fd }: Message): boolean {
    const sent = this.#socket?.send(state, fd);
    if (typeof sent === "object") this.#complain(sent.reason);
    return sent !== "busy";
  }

  #complain(because: string): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#warn(`the service manager cannot be told anything (${because}); governing goes on without it`);
  }
}

/** `systemd-analyze fdstore` shows it. Job ids hold no `@`, and a key names one job for ever. */
function nameOf({ jobId, key }: NamedJob): string {
  return `${jobId}@${key}`;
}
