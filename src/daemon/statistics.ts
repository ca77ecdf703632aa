import { type ProcessEvents, zeroCounters } from "../linux/events/processEvents.ts";
import { type DaemonContext, scanIntervalOf } from "./daemonContext.ts";
import { type DaemonCounts, type DaemonReport, writeDaemonReport } from "./status.ts";

/** The interval at which counts that only grow are written to the ledger. A loss is written at once. */
const WRITE_INTERVAL_MS = 60_000;

/** Counts the process events that a daemon received and missed, and writes the counts to the ledger. */
export class DaemonStatistics {
  rescans = 0;
  foundByScan = 0;
  notGoverned = 0;
  tenantsRefused = 0;
  endedBeforeLimits = 0;
  readonly #context: DaemonContext;
  readonly #sinceMs: number;
  #source: Pick<DaemonReport, "source" | "sourceSinceMs">;
  /** `undefined` between two event sources. */
  #events: ProcessEvents | undefined;
  /** The counts of the event sources that were stopped. */
  #earlier: Pick<DaemonCounts, "received" | "dropped" | "droppedRenames" | "overruns" | "malformed"> =
    zeroCounters();
  #written = { atBootMs: 0, losses: "" };

  constructor(context: DaemonContext, events: ProcessEvents) {
    this.#context = context;
    this.#sinceMs = context.host.now();
    this.#events = events;
    this.#source = { source: events.source, sourceSinceMs: this.#sinceMs };
    context.bus.subscribe(({ kind }) => {
      if (kind === "not-governed") this.notGoverned++;
      if (kind === "tenant-refused") this.tenantsRefused++;
    });
  }

  counts(): DaemonCounts {
    const earlier = this.#earlier;
    const { late, skipped } = this.#context.slowReader.counts;
    const { received, dropped, droppedRenames, filteredExecs, overruns, malformed } =
      this.#events?.counters() ?? zeroCounters();
    return {
      received: earlier.received + received,
      dropped: sumOf(earlier.dropped, dropped),
      droppedRenames: sumOf(earlier.droppedRenames, droppedRenames),
      filteredExecs,
      overruns: earlier.overruns + overruns,
      malformed: earlier.malformed + malformed,
      postponed: this.#context.postponed.count,
      rescans: this.rescans,
      foundByScan: this.foundByScan,
      notGoverned: this.notGoverned,
      tenantsRefused: this.tenantsRefused,
      lateReads: late,
      skippedReads: skipped,
      endedBeforeLimits: this.endedBeforeLimits,
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
    const { atBootMs, losses } = this.#written;
    const isDue = this.#context.host.bootNow() - atBootMs >= WRITE_INTERVAL_MS;
    if (isDue || lossesIn(this.counts()) !== losses) this.write();
  }

  write(stoppedMs: number | null = null): void {
    const report = this.report(stoppedMs);
    this.#written = { atBootMs: report.atBootMs, losses: lossesIn(report.counts) };
    writeDaemonReport(this.#context.ledger, report);
  }

  /** Returns the state of this daemon now. */
  report(stoppedMs: number | null = null): DaemonReport & { atBootMs: number } {
    const { host, self, store } = this.#context;
    const { policy, path = null, loadedMs, faults, fleet } = store;
    return {
      watch: self,
      sinceMs: this.#sinceMs,
      ...this.#source,
      targets: policy.targets.map(({ text }) => text),
      policy: { path, loadedMs, faults, fleet },
      scanIntervalMs: scanIntervalOf(this.#context),
      atMs: host.now(),
      atBootMs: host.bootNow(),
      stoppedMs,
      counts: this.counts(),
      unfilteredBecause: this.#events?.unfilteredBecause() ?? null,
    };
  }
}

/** A count that one of the sources does not have is unknown in the sum. */
function sumOf(earlier: number | null, later: number | null): number | null {
  return earlier === null || later === null ? null : earlier + later;
}

function lossesIn({
  received: _,
  endedBeforeLimits: __,
  filteredExecs: ___,
  ...losses
}: DaemonCounts): string {
  return JSON.stringify(losses);
}
