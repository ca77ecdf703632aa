import type { Context } from "../jobs/context.ts";
import type { ProcessEvents } from "../linux/events/processEvents.ts";
import type { PolicyStore } from "./policyStore.ts";
import { type WatchCounts, type WatchReport, writeWatchReport } from "./status.ts";

/** Counts that only grow with the machine's life are written this often; a loss is written at once. */
const WRITE_INTERVAL_MS = 60_000;

type PolicyInForce = Pick<PolicyStore, "policy" | "path" | "loadedMs" | "faults">;
type EventCounts = Pick<WatchCounts, "received" | "dropped" | "overruns" | "malformed">;

/** Counts what a daemon was told and what it was not, and keeps the ledger informed of it. */
export class DaemonStatistics {
  readonly #context: Context;
  readonly #store: PolicyInForce;
  readonly #scanIntervalMs: () => number;
  readonly #report: Omit<
    WatchReport,
    "targets" | "policy" | "scanIntervalMs" | "counts" | "atMs" | "stoppedMs"
  >;
  /** `undefined` between two sources. */
  #events: ProcessEvents | undefined;
  /** Of sources that have broken. */
  #earlier: EventCounts = { received: 0, dropped: 0, overruns: 0, malformed: 0 };
  #rescans = 0;
  #foundByLooking = 0;
  #written: { atMs: number; losses: string } | undefined;

  constructor(context: Context, events: ProcessEvents, store: PolicyInForce, scanIntervalMs: () => number) {
    this.#context = context;
    this.#events = events;
    this.#store = store;
    this.#scanIntervalMs = scanIntervalMs;
    const now = context.host.now();
    this.#report = {
      watch: context.self,
      sinceMs: now,
      source: events.source,
      sourceSinceMs: now,
    };
  }

  counts(): WatchCounts {
    return {
      ...this.#eventCounts(),
      rescans: this.#rescans,
      foundByLooking: this.#foundByLooking,
    };
  }

  noteRescan(): void {
    this.#rescans++;
  }

  noteFound(): void {
    this.#foundByLooking++;
  }

  /** To be called before a source is stopped, which may forget its counts. */
  closeSource(): void {
    this.#earlier = this.#eventCounts();
    this.#events = undefined;
  }

  switchTo(events: ProcessEvents): void {
    this.#events = events;
    this.#report.source = events.source;
    this.#report.sourceSinceMs = this.#context.host.now();
  }

  /** Writes the account when it tells of something new that matters, or has become old. */
  keep(): void {
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
    writeWatchReport(this.#context.ledger, {
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

/** What nobody counted at one time is not known in the sum. */
function add(a: EventCounts, b: EventCounts): EventCounts {
  return {
    received: a.received + b.received,
    dropped: a.dropped === null || b.dropped === null ? null : a.dropped + b.dropped,
    overruns: a.overruns + b.overruns,
    malformed: a.malformed + b.malformed,
  };
}
