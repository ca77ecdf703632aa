import type { Context } from "../jobs/context.ts";
import { WATCH_REPORT } from "../jobs/exit/lastSeen.ts";
import { isoTime } from "../jobs/json.ts";
import { parseJson } from "../ledger/eventRows.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { EventCounters, EventSource } from "../linux/events/processEvents.ts";
import { isAlive, type ProcessIdentity } from "../linux/proc/identity.ts";
import type { FleetPolicyReport } from "./policyStore.ts";

/** The process events that a daemon has received and missed since its start. */
export interface DaemonCounts
  extends Pick<
    EventCounters,
    "received" | "dropped" | "droppedRenames" | "filteredExecs" | "overruns" | "malformed"
  > {
  /** The number of times that work had to wait for lack of file descriptors. */
  postponed: number | null;
  /** Scans of all processes because events were lost. */
  rescans: number;
  /** Processes that were governed although no event had reported them. */
  foundByScan: number;
  /** Processes that the policy chose and that could not or must not be governed. */
  notGoverned: number | null;
  /** Processes with a fact that cannot be part of a tenant's name. */
  tenantsRefused: number | null;
  /** Facts of processes that could not be read in time. */
  lateReads: number | null;
  /** Facts that were not read, because too many threads were blocked. */
  skippedReads: number | null;
  /** Jobs whose process ended before its limits could be applied. `null`: an earlier release did not count them. */
  endedBeforeLimits: number | null;
}

/** The state of a daemon as it wrote it to the ledger, where the report of the last daemon stays. */
export interface DaemonReport {
  watch: ProcessIdentity;
  sinceMs: number;
  /** When the counts were read. */
  atMs: number;
  /** CLOCK_BOOTTIME at `atMs`. Absent in the report of an earlier release. */
  atBootMs?: number;
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
    /** Absent on a machine that follows no fleet, and in the report of an earlier release. */
    fleet?: FleetPolicyReport | undefined;
  };
  scanIntervalMs: number;
  source: EventSource;
  sourceSinceMs: number;
  counts: DaemonCounts;
  /** Why the kernel reports all execs. `null`: it does not, or the daemon is of an earlier release. */
  unfilteredBecause?: string | null;
}

/** Keeps the keys of the JSON, which other versions read: `foundByScan` is `foundByLooking` there. */
export function writeDaemonReport(ledger: Ledger, report: DaemonReport): void {
  const { foundByScan: foundByLooking, ...counts } = report.counts;
  ledger.setNote(WATCH_REPORT, JSON.stringify({ ...report, counts: { ...counts, foundByLooking } }));
}

/** A report that was read from the ledger. `died`: the daemon is gone and had not stopped. */
export type LastReport = DaemonReport & { state: "running" | "stopped" | "died" };

/** Returns `undefined` if no daemon has used this ledger. */
export function readDaemonReport({
  ledger,
  host,
}: Pick<Context, "host"> & { ledger: Pick<Ledger, "note"> }): LastReport | undefined {
  const note = ledger.note(WATCH_REPORT);
  if (note === undefined) return undefined;
  // biome-ignore lint/suspicious/noExplicitAny: other versions wrote it
  const report = parseJson(note) as any;
  if (typeof report?.watch?.pid !== "number" || !report.counts || !report.policy?.faults || !report.targets)
    return undefined;
  const { foundByLooking: foundByScan, ...counts } = report.counts;
  const unstopped = isAlive(host, report.watch) ? "running" : "died";
  const state = report.stoppedMs === null ? unstopped : "stopped";
  // A daemon of an earlier version did not count these.
  const later = {
    droppedRenames: null,
    filteredExecs: null,
    postponed: null,
    notGoverned: null,
    tenantsRefused: null,
    lateReads: null,
    skippedReads: null,
    endedBeforeLimits: null,
  };
  return { ...report, counts: { ...later, ...counts, foundByScan }, state };
}

/** The state of a daemon as `ps --daemon --json` prints it. */
export type DaemonStatus = ReturnType<typeof daemonReportJson>;

/** `critical`: something is not governed or not recorded. `warning`: it is, but worse than it could be. */
export interface HealthProblem {
  severity: "warning" | "critical";
  /** A stable name. */
  kind: string;
  text: string;
}

/** The answer of a daemon to the request `status`. */
export type LiveStatus = DaemonStatus & {
  /** The number of observed jobs. */
  jobs: number;
  /** Calls of the command of `on_end` since the start. */
  on_end_run: number;
  on_end_failed: number;
  on_end_dropped: number;
  problems: HealthProblem[];
};

export function daemonReportJson({ counts, ...report }: LastReport) {
  return {
    state: report.state,
    pid: report.watch.pid,
    since: isoTime(report.sinceMs),
    counted_at: isoTime(report.atMs),
    stopped_at: isoTime(report.stoppedMs),
    targets: report.targets,
    policy: report.policy.path,
    policy_loaded_at: isoTime(report.policy.loadedMs),
    policy_faults: report.policy.faults,
    fleet_policy: report.policy.fleet ?? null,
    scan_interval_seconds: report.scanIntervalMs / 1000,
    event_source: report.source,
    event_source_since: isoTime(report.sourceSinceMs),
    events_received: counts.received,
    events_dropped: counts.dropped,
    renames_dropped: counts.droppedRenames,
    execs_filtered: counts.filteredExecs,
    execs_unfiltered_because: report.unfilteredBecause ?? null,
    overruns: counts.overruns,
    malformed: counts.malformed,
    work_postponed: counts.postponed,
    rescans: counts.rescans,
    found_by_looking: counts.foundByScan,
    not_governed: counts.notGoverned,
    tenants_refused: counts.tenantsRefused,
    late_reads: counts.lateReads,
    skipped_reads: counts.skippedReads,
    ended_before_limits: counts.endedBeforeLimits,
  };
}
