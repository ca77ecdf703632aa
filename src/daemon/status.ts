import { isoTime } from "../jobs/json.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { EventSource } from "../linux/events/processEvents.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";

/** What a `watch` saw and missed since its start, as it says itself. */
export interface WatchCounts {
  /** Process events that the kernel told or a scan found. */
  received: number;
  /** How many the kernel dropped. `null` where it does not count them. */
  dropped: number | null;
  /** How often the kernel said that it had dropped some. */
  overruns: number;
  /** Messages that made no sense, or were not the kernel's. */
  malformed: number;
  /** Looks at all processes because events were lost. */
  rescans: number;
  /** Processes governed that no event had told of. */
  foundByLooking: number;
}

/** A daemon's account of itself. It stays in the ledger when the daemon is gone, as that of the last one. */
export interface WatchReport {
  watch: ProcessIdentity;
  sinceMs: number;
  /** When the counts were taken. */
  atMs: number;
  /** `null` while it runs, and when it died. */
  stoppedMs: number | null;
  targets: readonly string[];
  policy: {
    /** `null`: it comes from the command line. */
    path: string | null;
    /** When the one in force was read. */
    loadedMs: number;
    /** What is wrong with the file as it is now; the policy in force is an earlier one then. */
    faults: readonly string[];
  };
  scanIntervalMs: number;
  source: EventSource;
  sourceSinceMs: number;
  counts: WatchCounts;
}

const NOTE = "watch_report";

export function writeWatchReport(ledger: Ledger, report: WatchReport): void {
  ledger.setNote(NOTE, JSON.stringify(report));
}

/** `undefined` when no `watch` has worked with this ledger. */
export function readWatchReport(ledger: Ledger): WatchReport | undefined {
  const note = ledger.note(NOTE);
  return note === undefined ? undefined : (JSON.parse(note) as WatchReport);
}

/** `died`: it is gone and never said that it would. */
export type WatchState = "running" | "stopped" | "died";

export function watchReportJson(report: WatchReport, state: WatchState): Record<string, unknown> {
  const { watch, counts } = report;
  return {
    state,
    pid: watch.pid,
    since: isoTime(report.sinceMs),
    counted_at: isoTime(report.atMs),
    stopped_at: isoTime(report.stoppedMs),
    targets: report.targets,
    policy: report.policy.path,
    policy_loaded_at: isoTime(report.policy.loadedMs),
    policy_faults: report.policy.faults,
    scan_interval_seconds: report.scanIntervalMs / 1000,
    event_source: report.source,
    event_source_since: isoTime(report.sourceSinceMs),
    events_received: counts.received,
    events_dropped: counts.dropped,
    overruns: counts.overruns,
    malformed: counts.malformed,
    rescans: counts.rescans,
    found_by_looking: counts.foundByLooking,
  };
}
