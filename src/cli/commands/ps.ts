import { daemonReportJson, type LastReport, readDaemonReport } from "../../daemon/status.ts";
import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { isoTime, jobJson } from "../../jobs/json.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { isObserved, repairAll } from "../../jobs/recovery/recover.ts";
import { oneLine } from "../../sys/visibleText.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { type Column, type Pair, renderPairs, renderTable } from "../output/table.ts";
import { openContext, requireRecords } from "../session.ts";

export function ps(flags: CommonFlags & { daemon?: boolean }): number {
  const context = openContext(flags);
  if (flags.daemon) return psDaemon(context, flags.json ?? false);
  repairAll(context);
  const jobs = context.ledger.openJobs();
  if (flags.json) printJson(jobs.map((job) => jobJson(job)));
  else printOut(renderTable(columns(context), jobs));
  warnOfInvalidPolicy(context);
  context.ledger.close();
  // With an unreadable ledger, the jobs that their cgroups reveal are shown before the failure.
  requireRecords(context);
  return 0;
}

function columns(context: Context): Column<OpenJob>[] {
  return [
    { heading: "JOB", text: ({ jobId }) => jobId },
    { heading: "PID", right: true, text: (job) => job.process?.pid.toString() ?? "-" },
    { heading: "MODE", text: ({ mode }) => mode },
    { heading: "SINCE", right: true, text: (job) => governedForText(context, job) },
    { heading: "OBSERVER", text: (job) => (isObserved(context, job) ? `PID ${job.observer?.pid}` : "none") },
    { heading: "LIMITS", text: limitsText },
    { heading: "COMMAND", text: (job) => shorten(shownCommand(job).command.join(" ")) },
  ];
}

function governedForText({ host, bootId }: Context, job: OpenJob): string {
  if (job.state === "starting") return "-";
  const { startedMs, startedBootMs, process } = job;
  const isExact = startedBootMs !== null && process.bootId === bootId;
  return formatDuration(isExact ? host.bootNow() - startedBootMs : host.now() - startedMs);
}

function limitsText({ outcomes }: OpenJob): string {
  if (outcomes.length === 0) return "-";
  const inForce = outcomes.filter(({ outcome }) => outcome === "applied" || outcome === "partial").length;
  return inForce === outcomes.length ? `${inForce} in force` : `${inForce} of ${outcomes.length} in force`;
}

function shorten(text: string): string {
  // A character of two code units must not be cut in half.
  return text.length > 60 ? `${text.slice(0, 59).replace(/[\ud800-\udbff]$/, "")}…` : text;
}

/** Warns if the policy file of a running daemon has errors, so that an earlier policy is in force. */
function warnOfInvalidPolicy(context: Context): void {
  const report = readDaemonReport(context);
  if (report?.state !== "running" || report.policy.faults.length === 0) return;
  const { path, loadedMs, faults } = report.policy;
  const consequence = `the policy of ${isoTime(loadedMs)} stays in force`;
  warn(`${path} is NOT VALID, and ${consequence}: ${faults[0]}. See: ffrtmp policy check ${path}`);
}

function psDaemon(context: Context, asJson: boolean): number {
  requireRecords(context);
  const report = readDaemonReport(context);
  if (asJson) printJson(report ? daemonReportJson(report) : null);
  else if (report) printOut(renderPairs(describe(report, context)));
  else printOut(oneLine(`no ffrtmp watch has used ${context.ledger.path}`));
  return 0;
}

/** `null`: a daemon of an earlier release did not count it. */
function countText(count: number | null, meaning: string): string {
  return count === null ? "not counted" : `${count} ${meaning}`;
}

function describe(report: LastReport, { host, bootId }: Context): Pair[] {
  const { watch, state, policy, counts, source, stoppedMs } = report;
  const { atMs, atBootMs } = report;
  const isExact = atBootMs !== undefined && watch.bootId === bootId;
  const countedMs = isExact ? host.bootNow() - atBootMs : host.now() - atMs;
  const interval = formatDuration(report.scanIntervalMs);
  const ended = { running: "", stopped: ` at ${isoTime(stoppedMs)}`, died: ", killed or crashed" }[state];
  return [
    ["watch", `${state}${ended}, PID ${watch.pid}, since ${isoTime(report.sinceMs)}`],
    ["targets", report.targets.join(", ")],
    ["policy", `${policy.path ?? "from the command line"}, read ${isoTime(policy.loadedMs)}`],
    ...policy.faults.map((fault): Pair => ["NOT VALID", fault]),
    ["events", `${source}, since ${isoTime(report.sourceSinceMs)}`],
    ["received", String(counts.received)],
    ["dropped", droppedText(counts.dropped)],
    ["renames dropped", droppedText(counts.droppedRenames)],
    ["overruns", String(counts.overruns)],
    ["malformed", String(counts.malformed)],
    ["postponed", countText(counts.postponed, "times, for lack of file descriptors")],
    ["rescans", `${counts.rescans} after lost events, and one every ${interval}`],
    ["found by scan", `${counts.foundByScan} processes whose exec event was missed`],
    ["not governed", countText(counts.notGoverned, "processes that the policy chose")],
    ["no tenant", countText(counts.tenantsRefused, "processes whose fact cannot name a tenant")],
    ["late facts", countText(counts.lateReads, `not read in time, ${counts.skippedReads} not tried`)],
    [
      "ended early",
      countText(counts.endedBeforeLimits, "processes that ended before their limits could be applied"),
    ],
    ["counted", `${formatDuration(countedMs)} ago`],
  ];
}

function droppedText(count: number | null): string {
  return count === null ? "not counted by the kernel" : String(count);
}
