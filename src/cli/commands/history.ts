import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { Refusal } from "../../jobs/errors.ts";
import { slaRates, slaRatesJson } from "../../jobs/exit/slaRates.ts";
import { resultJson } from "../../jobs/json.ts";
import { factsOfEnding, type JobResult } from "../../jobs/model/ending.ts";
import type { EndedJob } from "../../jobs/model/job.ts";
import { outcomeOf } from "../../jobs/model/outcome.ts";
import { runtimeOf } from "../../jobs/model/runtime.ts";
import { repairAll } from "../../jobs/recovery/recover.ts";
import { exitText, markOf } from "../../jobs/summary.ts";
import type { HistoryFilter } from "../../ledger/endedJobs.ts";
import { decodeHistory } from "../../metrics/history/encoding.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { timeOptions } from "../options/timeOptions.ts";
import { explainNoneEnded } from "../output/emptyState.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { slaTable } from "../output/slaFigures.ts";
import { type Column, renderPairs, renderTable } from "../output/table.ts";
import { tableWidth } from "../output/terminal.ts";
import { formatTime, formatTimeOfDay, type TimeFlags, type TimeStyle, tableTimes } from "../output/times.ts";
import { usageCharts } from "../output/usageChart.ts";
import { openToRead, requireRecords } from "../session.ts";

const DAY_MS = 86_400_000;
const DEFAULT_LIMIT = 50;

interface HistoryFlags extends CommonFlags, TimeFlags {
  limit?: number;
  since?: string;
  until?: string;
  failed?: boolean;
  violations?: boolean;
  tenant?: string;
  sla?: boolean;
  trunc?: boolean;
}

interface Ended {
  job: EndedJob;
  result: JobResult;
}

export function history(jobId: string | undefined, flags: HistoryFlags): number {
  const { tenant, failed, violations } = flags;
  const { sinceMs, untilMs } = periodOf(flags, Date.now());
  const context = openToRead(flags);
  requireRecords(context);
  repairAll(context);
  if (jobId !== undefined && context.ledger.jobsNamed(jobId).length === 0) rejectUnknownJob(context, jobId);
  const filter = { jobId, tenant, sinceMs, untilMs, onlyFailed: failed, onlyViolations: violations };
  // After the ends that were just recorded.
  const nowMs = Date.now();
  if (flags.sla) printSla(context, filter, flags, nowMs);
  else printHistory(context, filter, flags, nowMs);
  context.ledger.close();
  return 0;
}

function printHistory(context: Context, filter: HistoryFilter, flags: HistoryFlags, nowMs: number): void {
  const { ledger } = context;
  const limit = flags.limit ?? DEFAULT_LIMIT;
  const ended = ledger.history(limit + 1, filter);
  const shown = ended.slice(0, limit);
  if (ended.length === 0) explainNoneEnded(context);
  if (flags.json) {
    printJson(shown.map(({ job, result }) => resultJson(job, result)));
    return;
  }
  printOut(renderTable(columns(tableTimes(flags), nowMs), shown, tableWidth(flags)));
  if (filter.jobId !== undefined) printCharts(context, shown[0]);
  if (ended.length > shown.length && flags.limit === undefined)
    warn(`only the latest ${limit} of the jobs are shown. For more: ffrtmp history --limit N`);
  const unknown = filter.onlyFailed ? ledger.countUnknownExits({ ...filter, onlyFailed: false }) : 0;
  if (unknown > 0)
    warn(
      `${unknown === 1 ? "1 more job has" : `${unknown} more jobs have`} an unknown outcome, and may have failed. ` +
        "To see all jobs, leave out --failed",
    );
}

/** Shows what the latest of the listed jobs used during its life, if a daemon has measured that. */
function printCharts({ ledger }: Context, latest: Ended | undefined): void {
  const stored = latest && ledger.usageHistory(latest.job);
  const charts = usageCharts(stored && decodeHistory(stored));
  if (charts.length > 0) printOut(`\n${renderPairs(charts)}`);
}

function printSla(
  { ledger }: Context,
  { jobId, tenant, sinceMs, untilMs }: HistoryFilter,
  flags: HistoryFlags,
  nowMs: number,
): void {
  // The end does not belong to the period.
  const until = untilMs ?? nowMs + 1;
  const rates = slaRates(ledger, sinceMs ?? until - DAY_MS, until, { jobId, tenant });
  if (flags.json) printJson(slaRatesJson(rates));
  else printOut(slaTable(rates, flags.utc ? "utc" : "local"));
}

function periodOf({ since, until }: HistoryFlags, nowMs: number): { sinceMs?: number; untilMs?: number } {
  const sinceMs = since === undefined ? undefined : timeOptions.since(since, nowMs);
  const untilMs = until === undefined ? undefined : timeOptions.until(until, nowMs);
  if (sinceMs !== undefined && sinceMs > nowMs)
    throw new Refusal(`--since ${since} is in the future: ${formatTimeOfDay(sinceMs, "local")}`);
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs >= untilMs) {
    const [start, end] = [sinceMs, untilMs].map((ms) => formatTimeOfDay(ms, "local"));
    throw new Refusal(`--until ${until} is not later than --since ${since}: ${end} and ${start}`);
  }
  return { ...(sinceMs === undefined ? {} : { sinceMs }), ...(untilMs === undefined ? {} : { untilMs }) };
}

function rejectUnknownJob({ state }: Context, jobId: string): never {
  const hint = "ffrtmp history; add --state-path DIR for another state directory";
  throw new Refusal(`there is no job ${jobId || JSON.stringify(jobId)} in ${state.ledger}`, hint);
}

function columns(style: TimeStyle, nowMs: number): Column<Ended>[] {
  return [
    { heading: "OUTCOME", text: ({ result }) => outcomeOf(result.ending) },
    { heading: "ENDED", text: ({ result }) => endText(result, style, nowMs) },
    { heading: "JOB", text: ({ job }) => job.jobId },
    { heading: "EXIT", text: ({ result }) => (result.ending.kind === "detached" ? "-" : exitText(result)) },
    { heading: "RUNTIME", right: true, yields: 4, text: ({ job, result }) => runtimeText(job, result) },
    { heading: "SLA", text: ({ result }) => (result.slaCompliant ? "compliant" : "violation") },
    { heading: "REASON", flexible: true, text: ({ result }) => result.slaReason },
    { heading: "MODE", yields: 2, text: ({ job }) => job.mode },
    { heading: "PID", right: true, yields: 3, text: ({ job }) => job.process?.pid.toString() ?? "-" },
    {
      heading: "EVIDENCE",
      yields: 1,
      text: ({ result }) => factsOfEnding(result.ending).exitEvidence ?? "none",
    },
  ];
}

function endText({ endMs, endedBeforeMs }: JobResult, style: TimeStyle, nowMs: number): string {
  return formatTime(endedBeforeMs ?? endMs, style, nowMs, endedBeforeMs !== null);
}

function runtimeText(job: EndedJob, result: JobResult): string {
  const runtime = runtimeOf(job, result);
  return runtime ? [markOf(runtime), formatDuration(runtime.ms)].filter(Boolean).join(" ") : "-";
}
