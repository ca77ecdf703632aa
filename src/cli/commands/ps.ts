import { readDaemonReport } from "../../daemon/status.ts";
import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { isoTime, jobJson } from "../../jobs/json.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { isObserved, repairAll } from "../../jobs/recovery/recover.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { explainNoneOpen, noteForeignJobs } from "../output/emptyState.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { type Column, renderTable } from "../output/table.ts";
import { openToRead, requireRecords } from "../session.ts";

export async function ps(flags: CommonFlags & { daemon?: boolean }): Promise<number> {
  const context = openToRead(flags);
  if (flags.daemon) {
    const { psDaemon } = await import("./psDaemon.ts");
    return psDaemon(context, flags.json ?? false);
  }
  repairAll(context);
  const jobs = context.ledger.openJobs();
  if (flags.json) printJson(jobs.map((job) => jobJson(job)));
  else printOut(renderTable(columns(context), jobs));
  warnOfInvalidPolicy(context);
  if (jobs.length === 0) explainNoneOpen(context);
  else if (context.ledger.isMissing)
    warn(`there is no ledger ${context.ledger.path}: these jobs are known from their cgroups alone`);
  noteForeignJobs(context);
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
