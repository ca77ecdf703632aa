import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { jobJson } from "../../jobs/json.ts";
import { isObserved } from "../../jobs/liveness.ts";
import { type OpenJob, pidOf, startedMsOf } from "../../jobs/model/job.ts";
import { repairAll } from "../../jobs/recovery/recover.ts";
import type { StateFlags } from "../options/jobOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { type Column, renderTable } from "../output/table.ts";
import { openContext, requireRecords } from "../session.ts";
import { psDaemon, warnOfInvalidPolicy } from "./psDaemon.ts";

export function ps(flags: StateFlags & { json?: boolean; daemon?: boolean }): number {
  const context = openContext(flags);
  if (flags.daemon) {
    requireRecords(context);
    psDaemon(context, flags.json ?? false);
    return 0;
  }
  repairAll(context);
  const jobs = context.ledger.openJobs();
  if (flags.json) printJson(jobs.map(jobJson));
  else printOut(renderTable(columns(context), jobs));
  warnOfInvalidPolicy(context);
  context.ledger.close();
  // With an unreadable ledger, the jobs that their cgroups reveal are shown before the failure.
  requireRecords(context);
  return 0;
}

function columns(context: Context): Column<OpenJob>[] {
  const now = context.host.now();
  const since = (startedMs: number | null) => (startedMs === null ? "-" : formatDuration(now - startedMs));
  return [
    { heading: "JOB", text: ({ jobId }) => jobId },
    { heading: "PID", right: true, text: (job) => pidOf(job)?.toString() ?? "-" },
    { heading: "MODE", text: ({ mode }) => mode },
    { heading: "SINCE", right: true, text: (job) => since(startedMsOf(job)) },
    {
      heading: "OBSERVER",
      text: (job) => (isObserved(context, job) ? `PID ${job.observer?.pid}` : "none"),
    },
    { heading: "LIMITS", text: limitsText },
    { heading: "COMMAND", text: ({ command }) => shorten(command.join(" ")) },
  ];
}

function limitsText({ outcomes }: OpenJob): string {
  if (outcomes.length === 0) return "-";
  const inForce = outcomes.filter(({ outcome }) => outcome === "applied" || outcome === "partial").length;
  return inForce === outcomes.length ? `${inForce} in force` : `${inForce} of ${outcomes.length} in force`;
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
