import { type ProcessEvents, zeroCounters } from "../linux/events/processEvents.ts";
import { type DaemonContext, scanIntervalOf } from "./daemonContext.ts";
import { type DaemonCounts, type DaemonReport, writeDaemonReport } from "./status.ts";

/** How often counts that only grow are written to the ledger. A loss is written at once. */
const WRITE_INTERVAL_MS = 60_000;

/** Counts the process events that a daemon received and missed, and writes the counts to the ledger. */
export class DaemonStatistics {
  rescans = 0;
  foundByScan = 0;
  readonly #context: DaemonContext;
  readonly #sinceMs: number;
  #source: Pick<DaemonReport, "source" | "sourceSinceMs">;
  /** `undefined` between two event sources. */
  #events: ProcessEvents | undefined;
  /** The counts of the event sources that were stopped. */
  #earlier: Omit<DaemonCounts, "rescans" | "foundByScan" | "lateReads" | "skippedReads"> = zeroCounters();
  #written = { atMs: 0, losses: "" };

  constructor(context: DaemonContext, events: ProcessEvents) {
    this.#context = context;
    this.#sinceMs = context.host.now();
    this.#events = events;
    this.#source = { source: events.source, sourceSinceMs: this.#sinceMs };
  }

  counts(): DaemonCounts {
    const earlier = this.#earlier;
    const { late, skipped } = this.#context.slowReader.counts;
    const { received, dropped, overruns, malformed } = this.#events?.counters() ?? zeroCounters();
    return {
      received: earlier.received + received,
      // A count that one of the sources does not have is unknown in the sum.
      dropped: earlier.dropped === null || dropped === null ? null : earlier.dropped + dropped,
      overruns: earlier.overruns + overruns,
      malformed: earlier.malformed + malformed,
      rescans: this.rescans,
      foundByScan: this.foundByScan,
      lateReads: late,
      skippedReads: skipped,
    };
  }

  /** Adds up the counts of the event source. Call it before the source is stopped, which may reset them. */
  closeSource(): void {
    this.#earlier = this.counts();
    this.#events = undefined;
  }

  switchTo(events: ProcessEvents): void {
    this.#events = events;
    this.#source = { source: events.source, sourceSinceMs: this.#context.host.now() };
  }

  /** Writes the counts if one of them has changed that shows a loss, or if they were written a minute ago. */
  writeIfDue(): void {
    const { atMs, losses } = this.#written;
    if (lossesIn(this.counts()) !== losses || this.#context.host.now() - atMs >= WRITE_INTERVAL_MS)
      this.write();
  }

  write(stoppedMs: number | null = null): void {
    const { host, ledger, self, store } = this.#context;
    const { policy, path = null, loadedMs, faults } = store;
    const counts = this.counts();
    const atMs = host.now();
    this.#written = { atMs, losses: lossesIn(counts) };
    writeDaemonReport(ledger, {
      watch: self,
      sinceMs: this.#sinceMs,
      ...this.#source,
      targets: policy.targets.map(({ text }) => text),
      policy: { path, loadedMs, faults },
      scanIntervalMs: scanIntervalOf(this.#context),
      atMs,
      stoppedMs,
      counts,
    });
  }
}

function lossesIn({ received: _, ...losses }: DaemonCounts): string {
  return JSON.stringify(losses);
}
