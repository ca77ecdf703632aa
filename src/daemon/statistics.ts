import type { Governor } from "../jobs/context.ts";
import type { ProcessEvents } from "../linux/events/processEvents.ts";
import type { PolicyKeeper } from "./policyStore.ts";
import { type WatchCounts, type WatchReport, writeWatchReport } from "./status.ts";

/** Counts that only grow with the machine's life are written this often; a loss is written at once. */
const WRITE_INTERVAL_MS = 60_000;

type PolicyInForce = Pick<PolicyKeeper, "policy" | "path" | "loadedMs" | "faults">;
type EventCounts = Pick<WatchCounts, "received" | "dropped" | "overruns" | "malformed">;

/** Counts what a daemon was told and what it was not, and keeps the ledger informed of it. */
export class WatchAccount {
  readonly #governor: Governor;
  readonly #keeper: PolicyInForce;
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

  constructor(
    governor: Governor,
    events: ProcessEvents,
    keeper: PolicyInForce,
    scanIntervalMs: () => number,
  ) {
    this.#governor = governor;
    this.#events = events;
    this.#keeper = keeper;
    this.#scanIntervalMs = scanIntervalMs;
    const now = governor.host.now();
    this.#report = {
      watch: { bootId: governor.bootId, ...governor.self },
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
    this.#report.sourceSinceMs = this.#governor.host.now();
  }

  /** Writes the account when it tells of something new that matters, or has become old. */
  keep(): void {
    const { received: _, ...losses } = this.counts();
    const isNew = JSON.stringify(losses) !== this.#written?.losses;
    const age = this.#governor.host.now() - (this.#written?.atMs ?? 0);
    if (isNew || age >= WRITE_INTERVAL_MS) this.write();
  }

  write(stoppedMs: number | null = null): void {
    const counts = this.counts();
    const { received: _, ...losses } = counts;
    const atMs = this.#governor.host.now();
    this.#written = { atMs, losses: JSON.stringify(losses) };
    const { policy, path = null, loadedMs, faults } = this.#keeper;
    writeWatchReport(this.#governor.ledger, {
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
