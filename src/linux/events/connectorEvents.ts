import { readMonotonicToWallUsec } from "../../sys/clock.ts";
import { renameOwnThreadToItself } from "../../sys/threadName.ts";
import type { Host } from "../host.ts";
import { checkConnectorNamespaces } from "./connectorNamespaces.ts";
import { EpollThread } from "./epollThread.ts";
import type { EventRecord } from "./eventRecords.ts";
import { ExitWatches } from "./exitWatches.ts";
import { ProcConnector } from "./procConnector.ts";
import {
  type EventCounters,
  type EventReports,
  type ProcessEvent,
  type ProcessEvents,
  type StartOutcome,
  type WatchedProcess,
  zeroCounters,
} from "./processEvents.ts";

const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
const CHECK_INTERVAL_MS = 1000;
const SELF_TEST_TRIES = 10;
const SELF_TEST_TRY_MS = 50;
const HEARTBEAT_INTERVAL_MS = 10_000;
const MAX_MISSED_BEATS = 2;

export interface ConnectorOptions {
  bufferBytes?: number;
  heartbeatIntervalMs?: number;
  openConnector?: typeof ProcConnector.open;
}

/**
 * Every exec, renaming and end on the machine, told by the kernel's process connector.
 *
 * Needs CONFIG_PROC_EVENTS, the initial pid, user and network namespaces, and before Linux 6.6 CAP_NET_ADMIN.
 */
export class ConnectorEvents implements ProcessEvents {
  readonly source = "connector";
  readonly reports: EventReports = { exec: "at once", comm: "at once", exit: "at once" };
  readonly #host: Host;
  readonly #options: ConnectorOptions;
  readonly #thread: EpollThread;
  readonly #watches: ExitWatches;
  readonly #counters = zeroCounters();
  #line: ProcConnector | undefined;
  #onEvents: ((batch: ProcessEvent[]) => void) | undefined;
  /** While records are being taken in, what they lead to is told together. */
  #batch: ProcessEvent[] | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #missedBeats = 0;
  #onHeardItself: (() => void) | undefined;

  constructor(host: Host, options: ConnectorOptions = {}) {
    this.#host = host;
    this.#options = options;
    this.#thread = new EpollThread({
      onRecords: (records) => this.#receive(records),
      onFailure: (reason) => this.#fail(reason),
    });
    this.#watches = new ExitWatches({
      host,
      emit: (event) => this.#emit(event),
      readySet: this.#thread,
      checkIntervalMs: CHECK_INTERVAL_MS,
    });
  }

  async start(onEvents: (batch: ProcessEvent[]) => void): Promise<StartOutcome> {
    const reason = checkConnectorNamespaces(this.#host) ?? (await this.#open());
    if (reason !== undefined) {
      await this.stop();
      return { outcome: "unsupported", reason };
    }
    this.#onEvents = onEvents;
    const { heartbeatIntervalMs = HEARTBEAT_INTERVAL_MS } = this.#options;
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatIntervalMs);
    return { outcome: "started" };
  }

  watchExit(process: WatchedProcess, pidfd: number | null): void {
    this.#watches.add(process, pidfd);
  }

  unwatchExit(process: WatchedProcess): void {
    this.#watches.remove(process);
  }

  counters(): EventCounters {
    return { ...this.#counters, dropped: this.#line?.dropped() ?? null };
  }

  async stop(): Promise<void> {
    this.#onEvents = undefined;
    clearInterval(this.#heartbeat);
    this.#watches.clear();
    const line = this.#line;
    this.#line = undefined;
    line?.stopListening();
    await this.#thread.stop();
    line?.close();
  }

  /** Returns why it cannot be, or nothing once an event has arrived. */
  async #open(): Promise<string | undefined> {
    const { openConnector = ProcConnector.open, bufferBytes = RECEIVE_BUFFER_BYTES } = this.#options;
    const line = openConnector(bufferBytes);
    if ("reason" in line) return line.reason;
    this.#line = line;
    return (await this.#thread.start(line.fd)) ?? line.listen() ?? (await this.#hearItself());
  }

  /** A request to listen may be ignored without a word: only an event that arrives shows that they do. */
  async #hearItself(): Promise<string | undefined> {
    const heard = new Promise<true>((resolve) => {
      this.#onHeardItself = () => resolve(true);
    });
    for (let tries = 0; tries < SELF_TEST_TRIES; tries++) {
      renameOwnThreadToItself();
      if (await Promise.race([heard, Bun.sleep(SELF_TEST_TRY_MS)])) return undefined;
    }
    return "the process connector took the request and told nothing";
  }

  /**
   * Before Linux 6.6 all listeners share one counter, and any program that says once too often that it
   * stops listening silences everybody. A silence of one beat is a loss, and listening begins again; a
   * second one in a row is the end.
   */
  #beat(): void {
    if (this.#missedBeats >= MAX_MISSED_BEATS) {
      this.#fail("the process connector has gone silent");
      return;
    }
    if (this.#missedBeats > 0) {
      this.#line?.listen();
      this.#handleLoss("the process connector had gone silent");
    }
    this.#missedBeats++;
    renameOwnThreadToItself();
  }

  #fail(reason: string): void {
    clearInterval(this.#heartbeat);
    this.#emit({ kind: "failed", reason });
  }

  #hearHeartbeat(): void {
    this.#missedBeats = 0;
    this.#onHeardItself?.();
  }

  #receive(records: Iterable<EventRecord>): void {
    const batch: ProcessEvent[] = [];
    this.#batch = batch;
    const toWallUsec = readMonotonicToWallUsec();
    for (const record of records) this.#take(record, toWallUsec);
    this.#batch = undefined;
    if (batch.length > 0) this.#onEvents?.(batch);
  }

  #take(record: EventRecord, toWallUsec: number): void {
    if (record.kind === "ready") this.#watches.handleReady(record.key);
    else if (record.kind === "malformed") this.#counters.malformed++;
    else if (record.kind === "overrun") {
      this.#counters.overruns++;
      this.#handleLoss("the kernel dropped process events: its buffer for them was full");
    } else if (record.kind === "comm" && record.pid === process.pid) this.#hearHeartbeat();
    else {
      this.#counters.received++;
      const { kind, pid, waitStatus } = record;
      if (kind === "exit") this.#watches.handleExit(pid, waitStatus);
      else if (kind === "thread-exit") this.#watches.handleThreadExit(pid, waitStatus);
      else {
        if (kind === "exec") this.#watches.handleExec(pid);
        this.#emit({ kind, pid, atMs: (record.atUsec + toWallUsec) / 1000 });
      }
    }
  }

  #handleLoss(reason: string): void {
    this.#watches.handleLoss();
    this.#emit({ kind: "lost", reason });
  }

  #emit(event: ProcessEvent): void {
    if (this.#batch !== undefined) this.#batch.push(event);
    else this.#onEvents?.([event]);
  }
}
