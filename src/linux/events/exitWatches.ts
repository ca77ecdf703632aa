import { pidfdHasEnded, readPidfdExit } from "../../sys/pidfd.ts";
import type { Host } from "../host.ts";
import type { EpollThread } from "./epollThread.ts";
import { readEndState, readZombieStatus, selectEvidence, showsStatusOfProcess } from "./exitEvidence.ts";
import type { ProcessEvent, WatchedProcess } from "./processEvents.ts";

/** Time for the parent to reap the process and for contradicting exits of its other threads. */
const WAIT_FOR_EVIDENCE_MS = 100;
/** Time for the parent to reap the process where only the exit record will tell how it ended. */
const MAX_WAIT_FOR_REAPING_MS = 60_000;
const REAPING_CHECK_MS = 500;
/** A process may end between the decision to watch it and the watch. */
const MAX_UNWATCHED_EXITS = 256;

interface Watch {
  readonly process: WatchedProcess;
  readonly pidfd: number | null;
  /** Names this watch in the epoll set. Numbers of descriptors and processes may be reused; keys are not. */
  readonly key: number;
  isPolled: boolean;
  eventsLost: boolean;
  zombieStatus: number | null;
  deadline: ReturnType<typeof setTimeout> | undefined;
  /** How long the end is known, in ms. */
  waitedMs: number;
}

interface ExitWatchesOptions {
  host: Host;
  emit: (event: ProcessEvent) => void;
  /** Reports that the process of a pidfd has ended. Without it every watched process is polled. */
  readySet?: Pick<EpollThread, "add" | "remove"> | undefined;
  /** The interval at which polled processes are checked. */
  checkIntervalMs: number;
  /**
   * No exit event will arrive: the exit record is read again until the parent has reaped the process, for a minute at
   * most.
   */
  readsUntilReaped?: boolean | undefined;
  /** How much later the exits of a process and its threads may be reported, where no pidfd hurries them: see `DEFER_MS`. */
  eventDelayMs?: number | undefined;
  /** Reads the exit record behind a pidfd; tests replace it to simulate a kernel without such records. */
  readRecord?: typeof readPidfdExit;
}

/** The watched processes of a source, which passes it signs of an end in any order. One `exit` event each. */
export class ExitWatches {
  readonly #options: ExitWatchesOptions;
  readonly #trustsZombieStatus: boolean;
  readonly #byIdentity = new Map<string, Watch>();
  readonly #byKey = new Map<number, Watch>();
  readonly #byPid = new Map<number, Watch>();
  /** By pid, oldest first: what the connector reported of watched processes, and the last others. */
  readonly #reported = new Map<number, number | "conflicting">();
  #lastKey = 0;
  #pollTimer: ReturnType<typeof setInterval> | undefined;

  constructor(options: ExitWatchesOptions) {
    this.#options = options;
    this.#trustsZombieStatus = showsStatusOfProcess(options.host);
  }

  add(process: WatchedProcess, pidfd: number | null): void {
    this.remove(process);
    const watch: Watch = {
      process: { pid: process.pid, startTicks: process.startTicks },
      pidfd,
      key: ++this.#lastKey,
      isPolled: false,
      eventsLost: false,
      zombieStatus: null,
      deadline: undefined,
      waitedMs: 0,
    };
    this.#byIdentity.set(identityOf(process), watch);
    this.#byKey.set(watch.key, watch);
    this.#byPid.set(process.pid, watch);
    const { readySet } = this.#options;
    if (pidfd !== null && readySet !== undefined && readySet.add(pidfd, watch.key) >= 0) return;
    watch.isPolled = true;
    this.#pollTimer ??= setInterval(() => this.#checkPolled(), this.#options.checkIntervalMs);
    setTimeout(() => this.#check(watch), 0);
  }

  remove(process: WatchedProcess): void {
    const watch = this.#byIdentity.get(identityOf(process));
    if (watch !== undefined) this.#forget(watch);
  }

  clear(): void {
    for (const watch of [...this.#byKey.values()]) this.#forget(watch);
  }

  /** Handles a ready pidfd: its process has ended, or an ended process was reaped. */
  handleReady(key: number): void {
    const watch = this.#byKey.get(key);
    if (watch !== undefined) this.#settle(watch);
  }

  /** Handles the end of a first thread. The process may continue without it or execute another program. */
  handleExit(pid: number, waitStatus: number): void {
    if (this.#mayBeOfSuccessor(pid)) {
      if (this.#reported.get(pid) !== waitStatus) this.#reported.set(pid, "conflicting");
      return;
    }
    this.#reported.delete(pid);
    this.#reported.set(pid, waitStatus);
    if (this.#reported.size > MAX_UNWATCHED_EXITS + this.#byPid.size) {
      const oldest = this.#reported.keys().find((each) => !this.#byPid.has(each));
      if (oldest !== undefined) this.#reported.delete(oldest);
    }
    const watch = this.#byPid.get(pid);
    if (watch?.isPolled) this.#check(watch);
  }

  handleThreadExit(pid: number, waitStatus: number): void {
    const reported = this.#reported.get(pid);
    if (typeof reported === "number" && reported !== waitStatus) this.#reported.set(pid, "conflicting");
  }

  handleExec(pid: number): void {
    if (this.#mayBeOfSuccessor(pid)) this.#reported.set(pid, "conflicting");
    else this.#reported.delete(pid);
  }

  /** Its process has ended and its status is known, so that the event may be of another process that has its pid now. */
  #mayBeOfSuccessor(pid: number): boolean {
    return this.#reported.has(pid) && this.#byPid.get(pid)?.deadline !== undefined;
  }

  /** Handles lost events: one of them may have contradicted an exit that was reported before. */
  handleLoss(): void {
    this.#reported.clear();
    for (const watch of this.#byKey.values()) watch.eventsLost = true;
    this.#checkPolled();
  }

  #checkPolled(): void {
    for (const watch of [...this.#byKey.values()]) if (watch.isPolled) this.#check(watch);
  }

  #check(watch: Watch): void {
    if (!this.#byKey.has(watch.key)) return;
    const hasEnded =
      watch.pidfd === null
        ? readEndState(this.#options.host, watch.process) !== "alive"
        : pidfdHasEnded(watch.pidfd);
    if (hasEnded) this.#settle(watch);
  }

  /** Emits the exit of a process, or waits for better evidence. Call it only for a process that has ended. */
  #settle(watch: Watch, waitIsOver = false): void {
    const { host, emit, readsUntilReaped, eventDelayMs = 0, readRecord = readPidfdExit } = this.#options;
    const record = watch.pidfd === null ? "none" : readRecord(watch.pidfd);
    if (this.#trustsZombieStatus && typeof record !== "object") {
      watch.zombieStatus ??= readZombieStatus(host, watch.process);
    }
    const reported = this.#reported.get(watch.process.pid) ?? "none";
    const facts = selectEvidence({ ...watch, record, reported }, waitIsOver);
    if (facts === "wait") {
      if (watch.deadline !== undefined) return;
      this.#settleLater(watch, WAIT_FOR_EVIDENCE_MS + (watch.isPolled ? eventDelayMs : 0));
      emit({ kind: "over", ...watch.process });
      return;
    }
    const mayStillBeReaped = record === "running" && watch.waitedMs < MAX_WAIT_FOR_REAPING_MS;
    if (facts.waitStatus === null && readsUntilReaped && mayStillBeReaped) {
      this.#settleLater(watch, REAPING_CHECK_MS);
      return;
    }
    this.#forget(watch);
    emit({ kind: "exit", ...watch.process, ...facts });
  }

  #settleLater(watch: Watch, delayMs: number): void {
    watch.waitedMs += delayMs;
    watch.deadline = setTimeout(() => this.#settle(watch, true), delayMs);
  }

  #forget(watch: Watch): void {
    clearTimeout(watch.deadline);
    if (watch.pidfd !== null && !watch.isPolled) this.#options.readySet?.remove(watch.pidfd);
    this.#byIdentity.delete(identityOf(watch.process));
    this.#byKey.delete(watch.key);
    if (this.#byPid.get(watch.process.pid) === watch) this.#byPid.delete(watch.process.pid);
    if (!watch.isPolled || this.#byKey.values().some(({ isPolled }) => isPolled)) return;
    clearInterval(this.#pollTimer);
    this.#pollTimer = undefined;
  }
}

function identityOf({ pid, startTicks }: WatchedProcess): string {
  return `${pid}:${startTicks}`;
}
