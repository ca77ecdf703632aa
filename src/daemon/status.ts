import { isoTime } from "../jobs/json.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { EventCounters, EventSource } from "../linux/events/processEvents.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";

/** The process events that a daemon has received and missed since its start. */
export interface DaemonCounts extends Pick<EventCounters, "received" | "dropped" | "overruns" | "malformed"> {
  /** Scans of all processes because events were lost. */
  rescans: number;
  /** Processes that were governed although no event had reported them. */
  foundByScan: number;
}

/** The state of a daemon as it wrote it to the ledger, where the report of the last daemon stays. */
export interface DaemonReport {
  daemon: ProcessIdentity;
  sinceMs: number;
  /** When the counts were read. */
  atMs: number;
  /** `null` while the daemon runs, and if it died. */
  stoppedMs: number | null;
  targets: readonly string[];
  policy: {
    /** `null`: the policy comes from the command line. */
    path: string | null;
    /** When the policy in force was read. */
    loadedMs: number;
    /** The faults of the file as it is now. If there are any, an earlier policy is in force. */
    faults: readonly string[];
  };
  scanIntervalMs: number;
  source: EventSource;
  sourceSinceMs: number;
  counts: DaemonCounts;
}

/** The report as JSON in the ledger: its keys stay, for older and newer daemons read it. */
interface StoredReport extends Omit<DaemonReport, "daemon" | "counts"> {
  watch: ProcessIdentity;
  counts: Omit<DaemonCounts, "foundByScan"> & { foundByLooking: number };
}

const NOTE = "watch_report";

export function writeDaemonReport(ledger: Ledger, { daemon, ...report }: DaemonReport): void {
  const { foundByScan, ...counts } = report.counts;
  const stored: StoredReport = {
    watch: daemon,
    ...report,
    counts: { ...counts, foundByLooking: foundByScan },
  };
  ledger.setNote(NOTE, JSON.stringify(stored));
}

/** Returns `undefined` if no daemon has used this ledger. */
export function readDaemonReport(ledger: Ledger): DaemonReport | undefined {
  const note = ledger.note(NOTE);
  if (note === undefined) return undefined;
  const { watch, ...report } = JSON.parse(note) as StoredReport;
  const { foundByLooking, ...counts } = report.counts;
  return { daemon: watch, ...report, counts: { ...counts, foundByScan: foundByLooking } };
}

/** `died`: the daemon is gone and had not stopped. */
export type DaemonState = "running" | "stopped" | "died";

export function daemonReportJson(report: DaemonReport, state: DaemonState): Record<string, unknown> {
  const { daemon, counts } = report;
  return {
    state,
    pid: daemon.pid,
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
    found_by_looking: counts.foundByScan,
  };
}
