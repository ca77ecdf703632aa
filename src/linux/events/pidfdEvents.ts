import type { Host } from "../host.ts";
import { EpollThread } from "./epollThread.ts";
import type { EventRecord } from "./eventRecords.ts";
import { ExitWatches } from "./exitWatches.ts";
import {
  type EventCounters,
  type EventReports,
  type ProcessEvent,
  type ProcessEvents,
  type StartOutcome,
  type WatchedProcess,
  zeroCounters,
} from "./processEvents.ts";

const CHECK_INTERVAL_MS = 1000;

/**
 * Reports the exits of watched processes through pidfds, which needs no rights. Knows nothing of other
 * processes.
 */
export class PidfdEvents implements ProcessEvents {
  readonly source = "pidfd";
  readonly reports: EventReports = { exec: "never", comm: "never", exit: "at once" };
  readonly #thread: EpollThread;
  readonly #watches: ExitWatches;
  readonly #counters = zeroCounters();
  #onEvents: ((batch: ProcessEvent[]) => void) | undefined;

  constructor(host: Host) {
    this.#thread = new EpollThread({
      onRecords: (records) => this.#receive(records),
      onFailure: (reason) => this.#onEvents?.([{ kind: "failed", reason }]),
    });
    this.#watches = new ExitWatches({
      host,
      emit: (event) => this.#onEvents?.([event]),
      readySet: this.#thread,
      checkIntervalMs: CHECK_INTERVAL_MS,
    });
  }

  async start(onEvents: (batch: ProcessEvent[]) => void): Promise<StartOutcome> {
    const reason = await this.#thread.start(null);
    if (reason !== undefined) {
      await this.#thread.stop();
      return { outcome: "unsupported", reason };
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
    return { ...this.#counters };
  }

  async stop(): Promise<void> {
    this.#onEvents = undefined;
    this.#watches.clear();
    await this.#thread.stop();
  }

  #receive(records: Iterable<EventRecord>): void {
    for (const record of records) {
      if (record.kind !== "ready") continue;
      this.#counters.received++;
      this.#watches.handleReady(record.key);
    }
  }
}
