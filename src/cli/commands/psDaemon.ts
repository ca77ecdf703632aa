import { askDaemon, type NoAnswer } from "../../daemon/askDaemon.ts";
import {
  type DaemonStatus,
  daemonReportJson,
  type LiveStatus,
  readDaemonReport,
} from "../../daemon/status.ts";
import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { slaRatesJson } from "../../jobs/exit/slaRates.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { explainNoRecords } from "../output/emptyState.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { slaOfLastDay, slaPairs } from "../output/slaFigures.ts";
import { type Pair, renderPairs } from "../output/table.ts";
import { requireRecords } from "../session.ts";

/** The state of the daemon, from itself or from the ledger, where it writes that every minute. */
export type AskedStatus =
  | { answers: true; status: LiveStatus }
  /** `status` is `undefined` if no daemon has used this ledger. */
  | { answers: false; reason: NoAnswer | "refused"; status: DaemonStatus | undefined; ageMs: number };

export async function askStatus(context: Context): Promise<AskedStatus> {
  const answer = await askDaemon(context.state, { request: "status" });
  if (typeof answer === "object" && answer.ok)
    return { answers: true, status: answer["status"] as LiveStatus };
  requireRecords(context);
  const report = readDaemonReport(context);
  const { host, bootId } = context;
  const isExact = report?.atBootMs !== undefined && report.watch.bootId === bootId;
  const ageMs = report ? (isExact ? host.bootNow() - (report.atBootMs ?? 0) : host.now() - report.atMs) : 0;
  const reason = typeof answer === "string" ? answer : "refused";
  return { answers: false, reason, status: report && daemonReportJson(report), ageMs };
}

export async function psDaemon(context: Context, asJson: boolean): Promise<number> {
  const asked = await askStatus(context);
  const { status, answers } = asked;
  if (!answers && status?.state === "running")
    warn(`${SILENCE[asked.reason]}: this is what it recorded last`);
  const nowMs = context.host.now();
  if (asJson) {
    const sla = () => slaRatesJson(slaOfLastDay(context.ledger, nowMs));
    printJson(status ? { ...status, answers, sla_last_24h: sla() } : null);
  } else if (status) {
    const pairs = describe(status, answers ? undefined : asked.ageMs);
    printOut(renderPairs([...pairs, ...slaPairs(context.ledger, nowMs)]));
  } else printOut(oneLine(`no ffrtmp watch has used ${context.ledger.path}`));
  if (!status && context.ledger.isMissing) explainNoRecords(context, "ps --daemon");
  context.ledger.close();
  return 0;
}

/** Why a daemon that runs did not answer. */
export const SILENCE: Record<(AskedStatus & { answers: false })["reason"], string> = {
  absent: "the daemon runs and does not listen to requests",
  forbidden: "the daemon answers only root and its own user",
  silent: "the daemon does not answer",
  refused: "the daemon does not know the request, as one of another version",
};

/** `null`: a daemon of an earlier release did not count it. */
function countText(count: number | null, meaning: string): string {
  return count === null ? "not counted" : `${count} ${meaning}`;
}

/** `ageMs`: the age of a recorded state; `undefined` for the present one. */
function describe(status: DaemonStatus | LiveStatus, ageMs: number | undefined): Pair[] {
  const interval = formatDuration(status.scan_interval_seconds * 1000);
  const ended = { running: "", stopped: ` at ${status.stopped_at}`, died: ", killed or crashed" }[
    status.state
  ];
  return [
    ["watch", `${status.state}${ended}, PID ${status.pid}, since ${status.since}`],
    ...("jobs" in status ? [["jobs", `${status.jobs} observed`] as Pair] : []),
    ["targets", status.targets.join(", ")],
    ["policy", `${status.policy ?? "from the command line"}, read ${status.policy_loaded_at}`],
    ...status.policy_faults.map((fault): Pair => ["NOT VALID", fault]),
    ["events", `${status.event_source}, since ${status.event_source_since}`],
    ["received", String(status.events_received)],
    ["dropped", droppedText(status.events_dropped)],
    ["renames dropped", droppedText(status.renames_dropped)],
    ["execs filtered", filteredText(status)],
    ["overruns", String(status.overruns)],
    ["malformed", String(status.malformed)],
    ["postponed", countText(status.work_postponed, "times, for lack of file descriptors")],
    ["rescans", `${status.rescans} after lost events, and one every ${interval}`],
    ["found by scan", `${status.found_by_looking} processes whose event was missed`],
    ["not governed", countText(status.not_governed, "processes that the policy chose")],
    ["no tenant", countText(status.tenants_refused, "processes from whose facts no tenant can be named")],
    ["late facts", countText(status.late_reads, `not read in time, ${status.skipped_reads} not tried`)],
    [
      "ended early",
      countText(status.ended_before_limits, "processes that ended before their limits could be applied"),
    ],
    ["counted", ageMs === undefined ? "now" : `${formatDuration(ageMs)} ago`],
  ];
}

function filteredText({ execs_filtered, execs_unfiltered_because }: DaemonStatus): string {
  if (execs_filtered !== null) return `${execs_filtered} of other commands, in the kernel`;
  const reason = execs_unfiltered_because === null ? "" : `: ${execs_unfiltered_because}`;
  return `none: each program that starts wakes the daemon${reason}`;
}

function droppedText(count: number | null): string {
  return count === null ? "not counted by the kernel" : String(count);
}
