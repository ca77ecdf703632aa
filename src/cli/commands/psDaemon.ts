import { readWatchReport, type WatchReport, type WatchState, watchReportJson } from "../../daemon/status.ts";
import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { isoTime } from "../../jobs/json.ts";
import { isAlive } from "../../linux/proc/identity.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { type Pair, renderPairs } from "../output/pairs.ts";

/** Says so where the policy file that a running daemon was told to follow is not the one in force. */
export function warnOfInvalidPolicy(context: Context): void {
  const report = readWatchReport(context.ledger);
  if (!report || report.policy.faults.length === 0 || stateOf(context, report) !== "running") return;
  const { path, loadedMs, faults } = report.policy;
  warn(
    `${path} is NOT VALID, and the policy of ${isoTime(loadedMs)} stays in force: ${faults[0]}. See: ffrtmp policy check ${path}`,
  );
}

/** Shows what the daemon says of itself: above all whether it missed anything. */
export function psDaemon(context: Context, asJson: boolean): void {
  const report = readWatchReport(context.ledger);
  if (!report) {
    if (asJson) printJson(null);
    else printOut(`no ffrtmp watch has worked with ${context.ledger.path}`);
    return;
  }
  const state = stateOf(context, report);
  if (asJson) printJson(watchReportJson(report, state));
  else printOut(renderPairs(describe(report, state, context.host.now())));
}

function stateOf({ host }: Context, { watch, stoppedMs }: WatchReport): WatchState {
  if (stoppedMs !== null) return "stopped";
  return isAlive(host, watch) ? "running" : "died";
}

function describe(report: WatchReport, state: WatchState, now: number): Pair[] {
  const { watch, counts, source, stoppedMs } = report;
  const ended = { running: "", stopped: ` at ${isoTime(stoppedMs)}`, died: " without a word" }[state];
  return [
    ["watch", `${state}${ended}, PID ${watch.pid}, since ${isoTime(report.sinceMs)}`],
    ["targets", report.targets.join(", ")],
    ["policy", `${report.policy.path ?? "from the command line"}, read ${isoTime(report.policy.loadedMs)}`],
    ...report.policy.faults.map((fault): Pair => ["NOT VALID", fault]),
    ["events", `${source}, since ${isoTime(report.sourceSinceMs)}`],
    ["received", String(counts.received)],
    ["dropped", counts.dropped === null ? "not counted by the kernel" : String(counts.dropped)],
    ["overruns", String(counts.overruns)],
    ["malformed", String(counts.malformed)],
    ["rescans", `${counts.rescans} after a loss; besides one every ${formatDuration(report.scanIntervalMs)}`],
    ["found by looking", `${counts.foundByLooking} processes that no event told of`],
    ["counted", `${formatDuration(now - report.atMs)} ago`],
  ];
}
