import { readMonotonicToWallUsec } from "../../sys/clock.ts";
import { openConnectorSocket, readDroppedMessages, sendToKernel } from "../../sys/connectorSocket.ts";
import { errnoName } from "../../sys/libc.ts";
import { closeFd } from "../../sys/pidfd.ts";
import { renameOwnThreadToItself } from "../../sys/threadName.ts";
import type { Host } from "../host.ts";
import { CN_IDX_PROC, encodeIgnore, encodeListen } from "./cnProc.ts";
import { EpollThread } from "./epollThread.ts";
import type { EventRecord } from "./eventRecords.ts";
import { ExitWatches } from "./exitWatches.ts";
import {
  type EventCounters,
  noCounts,
  type ProcessEvent,
  type ProcessEvents,
  type StartOutcome,
  type Told,
  type WatchedProcess,
} from "./processEvents.ts";
import { buildProcEventFilter } from "./socketFilter.ts";

const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
const LOOK_INTERVAL_MS = 1000;
const SELF_TEST_TRIES = 20;
const SELF_TEST_TRY_MS = 50;

/**
 * Every exec, renaming and end on the machine, told by the kernel's process connector.
 *
 * Needs CONFIG_PROC_EVENTS, the initial pid and user namespaces, and before Linux 6.6 CAP_NET_ADMIN.
 */
export class ConnectorEvents implements ProcessEvents {
  readonly source = "connector";
  readonly tells: Told = { exec: "at once", comm: "at once", exit: "at once" };
  readonly #thread: EpollThread;
  readonly #watches: ExitWatches;
  readonly #counters = noCounts();
  readonly #bufferBytes: number;
  #socketFd = -1;
  #onEvents: ((batch: ProcessEvent[]) => void) | undefined;
  #batch: ProcessEvent[] | undefined;
  #hasHeardItself: (() => void) | undefined;

  constructor(host: Host, { bufferBytes = RECEIVE_BUFFER_BYTES } = {}) {
    this.#bufferBytes = bufferBytes;
    this.#thread = new EpollThread({
      onRecords: (records) => this.#receive(records),
      onFailure: (because) => this.#emit({ kind: "failed", because }),
    });
    this.#watches = new ExitWatches({
      host,
      emit: (event) => this.#emit(event),
      readySet: this.#thread,
      lookIntervalMs: LOOK_INTERVAL_MS,
    });
  }

  async start(onEvents: (batch: ProcessEvent[]) => void): Promise<StartOutcome> {
    const opened = openConnectorSocket(CN_IDX_PROC, buildProcEventFilter(), this.#bufferBytes);
    if ("because" in opened) return { outcome: "unsupported", because: opened.because };
    this.#socketFd = opened.fd;
    const because = (await this.#thread.start(this.#socketFd)) ?? (await this.#listen());
    if (because !== undefined) {
      await this.stop();
      return { outcome: "unsupported", because };
    }
    this.#onEvents = onEvents;
    return { outcome: "started" };
  }

  watchExit(process: WatchedProcess, pidfd: number | null): void {
    this.#watches.add(process, pidfd);
  }

  unwatchExit(process: WatchedProcess): void {
    this.#watches.remove(process);
  }

  counters(): EventCounters {
    return { ...this.#counters, dropped: readDroppedMessages(this.#socketFd) };
  }

  async stop(): Promise<void> {
    this.#onEvents = undefined;
    this.#watches.clear();
    sendToKernel(this.#socketFd, encodeIgnore());
    await this.#thread.stop();
    closeFd(this.#socketFd);
  }

  /**
   * Turns the events on and makes one. The kernel ignores a listener in another pid or user namespace
   * without a word; only an event that arrives shows that they do.
   */
  async #listen(): Promise<string | undefined> {
    for (const message of encodeListen()) {
      const sent = sendToKernel(this.#socketFd, message);
      if (sent < 0) return `send to the process connector: ${errnoName(sent)}`;
    }
    const heard = new Promise<true>((resolve) => {
      this.#hasHeardItself = () => resolve(true);
    });
    try {
      for (let tries = 0; tries < SELF_TEST_TRIES; tries++) {
        renameOwnThreadToItself();
        if (await Promise.race([heard, Bun.sleep(SELF_TEST_TRY_MS)])) return undefined;
      }
    } finally {
      this.#hasHeardItself = undefined;
    }
    return "the process connector took the request and told nothing: it does so in a pid or user namespace of a container";
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
    switch (record.kind) {
      case "ready":
        this.#watches.noteReady(record.key);
        return;
      case "malformed":
        this.#counters.malformed++;
        return;
      case "overrun":
        this.#counters.overruns++;
        this.#watches.noteLoss();
        this.#emit({
          kind: "lost",
          because: "the kernel dropped process events: its buffer for them was full",
        });
        return;
      case "exit":
        this.#counters.received++;
        this.#watches.noteExit(record.pid, record.waitStatus);
        return;
      case "thread-exit":
        this.#counters.received++;
        this.#watches.noteThreadExit(record.pid, record.waitStatus);
        return;
      case "exec":
        this.#counters.received++;
        this.#watches.noteExec(record.pid);
        this.#emit({ kind: "exec", pid: record.pid, atMs: (record.atUsec + toWallUsec) / 1000 });
        return;
      case "comm":
        this.#counters.received++;
        if (record.pid === process.pid) this.#hasHeardItself?.();
        this.#emit({ kind: "comm", pid: record.pid, atMs: (record.atUsec + toWallUsec) / 1000 });
        return;
    }
  }

  #emit(event: ProcessEvent): void {
    if (this.#batch !== undefined) this.#batch.push(event);
    else this.#onEvents?.([event]);
  }
}
