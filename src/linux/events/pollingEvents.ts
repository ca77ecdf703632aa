import { errnoOf } from "../../sys/errno.ts";
import type { Host } from "../host.ts";
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
import { ProcessScan } from "./processScan.ts";

const RECHECK_WINDOW_MS = 5000;

export interface PollingOptions {
  intervalMs: number;
  /** How long a new process is checked again at each scan. */
  recheckWindowMs?: number;
  /** A better source for exits, where there is one. It is started and stopped together with the polling. */
  exits?: ProcessEvents;
}

/**
 * Scans procfs at an interval. Works everywhere, and misses processes that live shorter than the interval.
 */
export class PollingEvents implements ProcessEvents {
  readonly source = "polling";
  readonly reports: EventReports;
  readonly #host: Host;
  readonly #options: PollingOptions;
  readonly #watches: ExitWatches;
  readonly #counters = zeroCounters();
  #onEvents: ((batch: ProcessEvent[]) => void) | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(host: Host, options: PollingOptions) {
    this.#host = host;
    this.#options = options;
    this.reports = { exec: "by scan", comm: "by scan", exit: options.exits?.reports.exit ?? "by scan" };
    this.#watches = new ExitWatches({
      host,
      emit: (event) => this.#onEvents?.([event]),
      checkIntervalMs: options.intervalMs,
    });
  }

  async start(onEvents: (batch: ProcessEvent[]) => void): Promise<StartOutcome> {
    const exits = await this.#options.exits?.start(onEvents);
    if (exits?.outcome === "unsupported") return exits;
    this.#onEvents = onEvents;
    const scan = new ProcessScan(this.#host, this.#options.recheckWindowMs ?? RECHECK_WINDOW_MS);
    this.#timer = setInterval(() => this.#tick(scan), this.#options.intervalMs);
    return { outcome: "started" };
  }

  watchExit(process: WatchedProcess, pidfd: number | null): void {
    if (this.#options.exits === undefined) this.#watches.add(process, pidfd);
    else this.#options.exits.watchExit(process, pidfd);
  }

  unwatchExit(process: WatchedProcess): void {
    if (this.#options.exits === undefined) this.#watches.remove(process);
    else this.#options.exits.unwatchExit(process);
  }

  counters(): EventCounters {
    const exits = this.#options.exits?.counters().received ?? 0;
    return { ...this.#counters, received: this.#counters.received + exits };
  }

  async stop(): Promise<void> {
    this.#onEvents = undefined;
    clearInterval(this.#timer);
    this.#watches.clear();
    await this.#options.exits?.stop();
  }

  #tick(scan: ProcessScan): void {
    try {
      const { events, wasListed } = scan.scan();
      this.#counters.received += events.length;
      this.#counters[wasListed ? "scans" : "scansSkipped"]++;
      if (events.length > 0) this.#onEvents?.(events);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      this.#onEvents?.([{ kind: "lost", reason: `a scan of ${this.#host.procRoot} failed: ${error}` }]);
    }
  }
}
