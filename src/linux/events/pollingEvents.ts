import { errnoOf } from "../../sys/errno.ts";
import type { Host } from "../host.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { ProcessScan } from "./processScan.ts";

const RECHECK_WINDOW_MS = 5000;

/** Scans procfs at an interval. Works everywhere; misses processes that live shorter than the interval. */
export class PollingEvents extends PidfdEvents {
  override readonly source = "polling";
  readonly #intervalMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Without pidfds, which report an exit at once, the watched processes are polled too. */
  constructor(host: Host, { intervalMs, usesPidfds }: { intervalMs: number; usesPidfds: boolean }) {
    super(host, usesPidfds ? {} : { pollIntervalMs: intervalMs });
    this.#intervalMs = intervalMs;
  }

  protected override async open(): Promise<string | undefined> {
    const reason = await super.open();
    if (reason !== undefined) return reason;
    const scan = new ProcessScan(this.host, RECHECK_WINDOW_MS);
    this.#timer = setInterval(() => this.#tick(scan), this.#intervalMs);
    return undefined;
  }

  override async stop(): Promise<void> {
    clearInterval(this.#timer);
    await super.stop();
  }

  #tick(scan: ProcessScan): void {
    try {
      const { events, wasListed } = scan.scan();
      this.counts.received += events.length;
      this.counts[wasListed ? "scans" : "scansSkipped"]++;
      this.emitAll(events);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      this.emit({ kind: "lost", reason: `a scan of ${this.host.procRoot} failed: ${error}` });
    }
  }
}
