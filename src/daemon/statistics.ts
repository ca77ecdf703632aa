import type { Context } from "../jobs/context.ts";
import type { ProcessEvents } from "../linux/events/processEvents.ts";
import type { PolicyStore } from "./policyStore.ts";
import { type DaemonCounts, type DaemonReport, writeDaemonReport } from "./status.ts";

/** How often counts that only grow are written to the ledger. A loss is written at once. */
const WRITE_INTERVAL_MS = 60_000;

type PolicyInForce = Pick<PolicyStore, "policy" | "path" | "loadedMs" | "faults">;
type EventCounts = Pick<DaemonCounts, "received" | "dropped" | "overruns" | "malformed">;

/** Counts the process events that a daemon received and missed, and writes the counts to the ledger. */
export class DaemonStatistics {
  readonly #context: Context;
  readonly #store: PolicyInForce;
  readonly #scanIntervalMs: () => number;
  readonly #report: Omit<
    DaemonReport,
    "targets" | "policy" | "scanIntervalMs" | "counts" | "atMs" | "stoppedMs"
  >;
  /** `undefined` between two event sources. */
  #events: ProcessEvents | undefined;
  /** The counts of the event sources that were stopped. */
  #earlier: EventCounts = { received: 0, dropped: 0, overruns: 0, malformed: 0 };
  #rescans = 0;
  #foundByScan = 0;
  #written: { atMs: number; losses: string } | undefined;

  constructor(context: Context, events: ProcessEvents, store: PolicyInForce, scanIntervalMs: () => number) {
    this.#context = context;
    this.#events = events;
    this.#store = store;
    this.#scanIntervalMs = scanIntervalMs;
    const now = context.host.now();
    this.#report = {
      daemon: context.self,
      sinceMs: now,
      source: events.source,
      sourceSinceMs: now,
    };
  }

  counts(): DaemonCounts {
    return {
      ...this.#eventCounts(),
      rescans: this.#rescans,
      foundByScan: this.#foundByScan,
    };
  }

  countRescan(): void {
    this.#rescans++;
  }

  countFoundByScan(): void {
    this.#foundByScan++;
  }

  /** Adds up the counts of the event source. Call it before the source is stopped, which may reset them. */
  closeSource(): void {
    this.#earlier = this.#eventCounts();
    this.#events = undefined;
  }

  switchTo(events: ProcessEvents): void {
    this.#events = events;
    this.#report.source = events.source;
    this.#report.sourceSinceMs = this.#context.host.now();
  }

  /** Writes the counts if one of them has changed that shows a loss, or if they were written a minute ago. */
  writeIfDue(): void {
    const { received: _, ...losses } = this.counts();
    const isNew = JSON.stringify(losses) !== this.#written?.losses;
    const age = this.#context.host.now() - (this.#written?.atMs ?? 0);
    if (isNew || age >= WRITE_INTERVAL_MS) this.write();
  }

  write(stoppedMs: number | null = null): void {
    const counts = this.counts();
    const { received: _, ...losses } = counts;
    const atMs = this.#context.host.now();
    this.#written = { atMs, losses: JSON.stringify(losses) };
    const { policy, path = null, loadedMs, faults } = this.#store;
    writeDaemonReport(this.#context.ledger, {
      ...this.#report,
      targets: policy.targets.map(({ text }) => text),
      policy: { path, loadedMs, faults },
      scanIntervalMs: this.#scanIntervalMs(),
      atMs,
      stoppedMs,
      counts,
    });
  }

  #eventCounts(): EventCounts {
    return this.#events === undefined ? this.#earlier : add(this.#earlier, this.#events.counters());
  }
}

/** A count that one of the two does not have is unknown in the sum. */
function add(a: EventCounts, b: EventCounts): EventCounts {
  return {
    received: a.received + b.received,
    dropped: a.dropped === null || b.dropped === null ? null : a.dropped + b.dropped,
    overruns: a.overruns + b.overruns,
    malformed: a.malformed + b.malformed,
  };
}
