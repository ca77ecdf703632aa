import type { Host } from "../host.ts";
import { EpollThread } from "./epollThread.ts";
import type { DroppedExecs } from "./execFilter.ts";
import { ExitWatches } from "./exitWatches.ts";
import {
  type EventCounters,
  type EventSource,
  type OnEvents,
  type ProcessEvent,
  type ProcessEvents,
  type WantedNames,
  type WatchedProcess,
  zeroCounters,
} from "./processEvents.ts";
import type { EventRecord } from "./workerProtocol.ts";

const CHECK_INTERVAL_MS = 1000;

/** Reports exits of watched processes through pidfds, without any rights. The other sources extend it. */
export class PidfdEvents implements ProcessEvents {
  readonly source: EventSource = "pidfd";
  protected readonly host: Host;
  protected readonly thread: EpollThread | undefined;
  protected readonly watches: ExitWatches;
  protected readonly counts = zeroCounters();
  #onEvents: OnEvents | undefined;
  /** The events of the records that are being handled. */
  #batch: ProcessEvent[] | undefined;

  /**
   * With `pollIntervalMs` no thread waits for pidfds: every watched process is polled. `readsUntilReaped` and `eventDelayMs`:
   * see `ExitWatches`. `isRealtime`: see `ToWorker`.
   */
  constructor(
    host: Host,
    {
      pollIntervalMs,
      readsUntilReaped,
      eventDelayMs,
      isRealtime,
    }: {
      pollIntervalMs?: number;
      readsUntilReaped?: boolean;
      eventDelayMs?: number;
      isRealtime?: boolean | undefined;
    } = {},
  ) {
    this.host = host;
    const onRecords = (records: Iterable<EventRecord>) => this.receive(records);
    const onFailure = (reason: string) => this.fail(reason);
    this.thread =
      pollIntervalMs === undefined ? new EpollThread(onRecords, onFailure, isRealtime) : undefined;
    this.watches = new ExitWatches({
      host,
      emit: (event) => this.emit(event),
      readySet: this.thread,
      checkIntervalMs: pollIntervalMs ?? CHECK_INTERVAL_MS,
      readsUntilReaped,
      eventDelayMs,
    });
  }

  async start(onEvents: OnEvents): Promise<string | undefined> {
    const reason = await this.open();
    if (reason === undefined) this.#onEvents = onEvents;
    else await this.stop();
    return reason;
  }

  watchExit(process: WatchedProcess, pidfd: number | null): void {
    this.watches.add(process, pidfd);
  }

  unwatchExit(process: WatchedProcess): void {
    this.watches.remove(process);
  }

  setNames(_names: WantedNames): void {}

  takeDroppedExecs(): DroppedExecs | undefined {
    return undefined;
  }

  unfilteredBecause(): string | null {
    return `${this.source} reports no execs of the kernel`;
  }

  counters(): EventCounters {
    return { ...this.counts };
  }

  async stop(): Promise<void> {
    this.#onEvents = undefined;
    this.watches.clear();
    await this.thread?.stop();
  }

  protected async open(): Promise<string | undefined> {
    return this.thread?.start(null);
  }

  protected receive(records: Iterable<EventRecord>): void {
    const batch: ProcessEvent[] = [];
    this.#batch = batch;
    for (const record of records) this.handle(record);
    this.#batch = undefined;
    this.emitAll(batch);
  }

  protected handle(record: EventRecord): void {
    if (record.kind !== "ready") return;
    this.counts.received++;
    this.watches.handleReady(record.key);
  }

  protected emit(event: ProcessEvent): void {
    if (this.#batch === undefined) this.emitAll([event]);
    else this.#batch.push(event);
  }

  protected emitAll(batch: ProcessEvent[]): void {
    if (batch.length > 0) this.#onEvents?.(batch);
  }

  protected fail(reason: string): void {
    this.emit({ kind: "failed", reason });
  }
}
