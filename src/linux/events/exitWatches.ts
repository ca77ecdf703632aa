import { pidfdHasEnded, readPidfdExit } from "../../sys/pidfd.ts";
import type { Host } from "../host.ts";
import { readEndState, readZombieStatus, showsStatusOfProcess } from "./endState.ts";
import { selectEvidence } from "./exitEvidence.ts";
import type { ProcessEvent, WatchedProcess } from "./processEvents.ts";
import { RecentExits, type ReportedExit } from "./recentExits.ts";

/** How long an end waits for its parent to collect it, and for what the ends of other threads may contradict. */
const WAIT_FOR_EVIDENCE_MS = 100;

interface Watch {
  readonly process: WatchedProcess;
  readonly pidfd: number | null;
  /** Names this watch in the epoll set: a descriptor's number, or a pid, may soon be another's. */
  readonly key: number;
  isPolled: boolean;
  told: ReportedExit;
  eventsLost: boolean;
  zombieStatus: number | null;
  deadline: ReturnType<typeof setTimeout> | undefined;
}

/** The set in which pidfds report that their process has ended. `add` returns 0 or −errno. */
export interface ReadySet {
  add(pidfd: number, key: number): number;
  remove(pidfd: number): void;
}

export interface ExitWatchesOptions {
  host: Host;
  emit: (event: ProcessEvent) => void;
  /** Without it every watched process is looked at instead. */
  readySet?: ReadySet;
  /** How often a process is looked at that cannot report by itself. */
  checkIntervalMs: number;
  /** The kernel's exit record behind a pidfd; replaced where a kernel without it is to be played. */
  readRecord?: typeof readPidfdExit;
}

/**
 * The watched processes, and the judgement of how each ended. Signs of an end come in from the source in
 * any order (`note…`); out comes one exit event for each.
 */
export class ExitWatches {
  readonly #options: ExitWatchesOptions;
  readonly #trustsZombieStatus: boolean;
  readonly #byIdentity = new Map<string, Watch>();
  readonly #byKey = new Map<number, Watch>();
  readonly #byPid = new Map<number, Watch>();
  readonly #recentExits = new RecentExits();
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
      told: "nothing",
      eventsLost: false,
      zombieStatus: null,
      deadline: undefined,
    };
    this.#byIdentity.set(identityOf(process), watch);
    this.#byKey.set(watch.key, watch);
    this.#byPid.set(process.pid, watch);
    if (pidfd === null || this.#options.readySet === undefined) this.#startPolling(watch);
    else if (this.#options.readySet.add(pidfd, watch.key) < 0) this.#startPolling(watch);
  }

  remove(process: WatchedProcess): void {
    const watch = this.#byIdentity.get(identityOf(process));
    if (watch !== undefined) this.#forget(watch);
  }

  clear(): void {
    for (const watch of [...this.#byKey.values()]) this.#forget(watch);
  }

  /** The pidfd under this key reports an end, or that an ended process was collected. */
  handleReady(key: number): void {
    const watch = this.#byKey.get(key);
    if (watch !== undefined) this.#settle(watch);
  }

  /** The first thread of a process has ended; the process may go on without it, or run another program in its place. */
  handleExit(pid: number, waitStatus: number): void {
    this.#recentExits.record(pid, waitStatus);
    const watch = this.#byPid.get(pid);
    if (watch === undefined) return;
    watch.told = waitStatus;
    if (watch.isPolled) this.#check(watch);
  }

  handleThreadExit(pid: number, waitStatus: number): void {
    this.#recentExits.recordThread(pid, waitStatus);
    const watch = this.#byPid.get(pid);
    if (typeof watch?.told === "number" && watch.told !== waitStatus) watch.told = "disputed";
  }

  handleExec(pid: number): void {
    this.#recentExits.forget(pid);
    const watch = this.#byPid.get(pid);
    if (watch !== undefined) watch.told = "nothing";
  }

  /** Nothing that was told before a loss is sure to be uncontradicted. */
  handleLoss(): void {
    this.#recentExits.clear();
    for (const watch of this.#byKey.values()) {
      watch.told = "nothing";
      watch.eventsLost = true;
      if (watch.isPolled) this.#check(watch);
    }
  }

  #startPolling(watch: Watch): void {
    watch.isPolled = true;
    this.#pollTimer ??= setInterval(() => this.#checkAll(), this.#options.checkIntervalMs);
    setTimeout(() => this.#check(watch), 0);
  }

  #checkAll(): void {
    const watches = [...this.#byKey.values()].filter((watch) => watch.isPolled);
    for (const watch of watches) this.#check(watch);
    if (watches.length > 0) return;
    clearInterval(this.#pollTimer);
    this.#pollTimer = undefined;
  }

  #check(watch: Watch): void {
    if (!this.#byKey.has(watch.key)) return;
    const hasEnded =
      watch.pidfd === null
        ? readEndState(this.#options.host, watch.process).state !== "alive"
        : pidfdHasEnded(watch.pidfd);
    if (hasEnded) this.#settle(watch);
  }

  /** To be called only for a process that is over. */
  #settle(watch: Watch, waitIsOver = false): void {
    const { host, emit, readRecord = readPidfdExit } = this.#options;
    const record = watch.pidfd === null ? "none" : readRecord(watch.pidfd);
    if (this.#trustsZombieStatus && typeof record !== "object") {
      watch.zombieStatus ??= readZombieStatus(host, watch.process);
    }
    if (watch.told === "nothing" && !watch.eventsLost) watch.told = this.#recentExits.of(watch.process.pid);
    const facts = selectEvidence({ ...watch, record }, waitIsOver);
    if (facts === "wait") {
      if (watch.deadline !== undefined) return;
      watch.deadline = setTimeout(() => this.#settle(watch, true), WAIT_FOR_EVIDENCE_MS);
      emit({ kind: "over", ...watch.process });
      return;
    }
    this.#forget(watch);
    emit({ kind: "exit", ...watch.process, ...facts });
  }

  #forget(watch: Watch): void {
    clearTimeout(watch.deadline);
    if (watch.pidfd !== null && !watch.isPolled) this.#options.readySet?.remove(watch.pidfd);
    this.#byIdentity.delete(identityOf(watch.process));
    this.#byKey.delete(watch.key);
    if (this.#byPid.get(watch.process.pid) === watch) this.#byPid.delete(watch.process.pid);
    if (this.#byKey.size > 0) return;
    clearInterval(this.#pollTimer);
    this.#pollTimer = undefined;
  }
}

function identityOf({ pid, startTicks }: WatchedProcess): string {
  return `${pid}:${startTicks}`;
}
