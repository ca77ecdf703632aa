import {
  type DaemonReport,
  type DaemonState,
  daemonReportJson,
  readDaemonReport,
} from "../../daemon/status.ts";
import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { isoTime } from "../../jobs/json.ts";
import { isAlive } from "../../linux/proc/identity.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { type Pair, renderPairs } from "../output/table.ts";

/** Warns if the policy file of a running daemon has errors, so that an earlier policy is in force. */
export function warnOfInvalidPolicy(context: Context): void {
  const report = readDaemonReport(context.ledger);
  if (!report || report.policy.faults.length === 0 || stateOf(context, report) !== "running") return;
  const { path, loadedMs, faults } = report.policy;
  warn(
    `${path} is NOT VALID, and the policy of ${isoTime(loadedMs)} stays in force: ${faults[0]}. See: ffrtmp policy check ${path}`,
  );
}

/** Shows the report of the daemon: above all whether it missed process events. */
export function psDaemon(context: Context, asJson: boolean): void {
  const report = readDaemonReport(context.ledger);
  if (!report) {
    if (asJson) printJson(null);
    else printOut(`no ffrtmp watch has used ${context.ledger.path}`);
    return;
  }
  const state = stateOf(context, report);
  if (asJson) printJson(daemonReportJson(report, state));
  else printOut(renderPairs(describe(report, state, context.host.now())));
}

function stateOf({ host }: Context, { daemon, stoppedMs }: DaemonReport): DaemonState {
  if (stoppedMs !== null) return "stopped";
  return isAlive(host, daemon) ? "running" : "died";
}

function describe(report: DaemonReport, state: DaemonState, now: number): Pair[] {
  const { daemon, counts, source, stoppedMs } = report;
  const ended = { running: "", stopped: ` at ${isoTime(stoppedMs)}`, died: ", killed or crashed" }[state];
  return [
    ["watch", `${state}${ended}, PID ${daemon.pid}, since ${isoTime(report.sinceMs)}`],
    ["targets", report.targets.join(", ")],
    ["policy", `${report.policy.path ?? "from the command line"}, read ${isoTime(report.policy.loadedMs)}`],
    ...report.policy.faults.map((fault): Pair => ["NOT VALID", fault]),
    ["events", `${source}, since ${isoTime(report.sourceSinceMs)}`],
    ["received", String(counts.received)],
    ["dropped", counts.dropped === null ? "not counted by the kernel" : String(counts.dropped)],
    ["overruns", String(counts.overruns)],
    ["malformed", String(counts.malformed)],
    [
      "rescans",
      `${counts.rescans} after lost events, and one every ${formatDuration(report.scanIntervalMs)}`,
    ],
    ["found by scan", `${counts.foundByScan} processes whose exec event was missed`],
    ["counted", `${formatDuration(now - report.atMs)} ago`],
  ];
}
