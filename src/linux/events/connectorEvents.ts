import { readMonotonicToWallUsec } from "../../sys/clock.ts";
import { renameOwnThreadToItself } from "../../sys/ownProcess.ts";
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
 * Reports every exec, renaming and exit on the machine, from the process connector of the kernel.
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
  #connector: ProcConnector | undefined;
  #onEvents: ((batch: ProcessEvent[]) => void) | undefined;
  /** Collects the events of one array of records, so that they are reported in one batch. */
  #batch: ProcessEvent[] | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #missedBeats = 0;
  #onHeartbeat: (() => void) | undefined;

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
    this.#heartbeat = setInterval(() => this.#checkHeartbeat(), heartbeatIntervalMs);
    return { outcome: "started" };
  }

  watchExit(process: WatchedProcess, pidfd: number | null): void {
    this.#watches.add(process, pidfd);
  }

  unwatchExit(process: WatchedProcess): void {
    this.#watches.remove(process);
  }

  counters(): EventCounters {
    return { ...this.#counters, dropped: this.#connector?.dropped() ?? null };
  }

  async stop(): Promise<void> {
    this.#onEvents = undefined;
    clearInterval(this.#heartbeat);
    this.#watches.clear();
    const connector = this.#connector;
    this.#connector = undefined;
    connector?.stopListening();
    await this.#thread.stop();
    connector?.close();
  }

  /** Returns why the connector cannot be used, or `undefined` once an event has arrived. */
  async #open(): Promise<string | undefined> {
    const { openConnector = ProcConnector.open, bufferBytes = RECEIVE_BUFFER_BYTES } = this.#options;
    const connector = openConnector(bufferBytes);
    if ("reason" in connector) return connector.reason;
    this.#connector = connector;
    return (await this.#thread.start(connector.fd)) ?? connector.listen() ?? (await this.#testItself());
  }

  /**
   * The kernel may ignore a request to listen silently: only an event that arrives proves that events are on.
   */
  async #testItself(): Promise<string | undefined> {
    const received = new Promise<true>((resolve) => {
      this.#onHeartbeat = () => resolve(true);
    });
    for (let tries = 0; tries < SELF_TEST_TRIES; tries++) {
      renameOwnThreadToItself();
      if (await Promise.race([received, Bun.sleep(SELF_TEST_TRY_MS)])) return undefined;
    }
    return "the process connector accepted the request but sent no event";
  }

  /**
   * Renames our own thread to its present name and expects the event of it before the next call.
   *
   * Before Linux 6.6 all listeners share one counter, and a program that stops listening once too often
   * silences all of them. After one missed heartbeat events may be lost, so listening starts again; after a
   * second one in a row the source has failed.
   */
  #checkHeartbeat(): void {
    if (this.#missedBeats >= MAX_MISSED_BEATS) {
      this.#fail("the process connector stopped sending events");
      return;
    }
    if (this.#missedBeats > 0) {
      this.#connector?.listen();
      this.#handleLoss("the process connector had stopped sending events");
    }
    this.#missedBeats++;
    renameOwnThreadToItself();
  }

  #fail(reason: string): void {
    clearInterval(this.#heartbeat);
    this.#emit({ kind: "failed", reason });
  }

  #handleHeartbeat(): void {
    this.#missedBeats = 0;
    this.#onHeartbeat?.();
  }

  #receive(records: Iterable<EventRecord>): void {
    const batch: ProcessEvent[] = [];
    this.#batch = batch;
    const toWallUsec = readMonotonicToWallUsec();
    for (const record of records) this.#handle(record, toWallUsec);
    this.#batch = undefined;
    if (batch.length > 0) this.#onEvents?.(batch);
  }

  #handle(record: EventRecord, toWallUsec: number): void {
    if (record.kind === "ready") this.#watches.handleReady(record.key);
    else if (record.kind === "malformed") this.#counters.malformed++;
    else if (record.kind === "overrun") {
      this.#counters.overruns++;
      this.#handleLoss("the kernel dropped process events: the receive buffer was full");
    } else if (record.kind === "comm" && record.pid === process.pid) this.#handleHeartbeat();
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
