import { formatDuration } from "../../jobs/duration.ts";
import { isoTime, resultJson } from "../../jobs/json.ts";
import { factsOfEnding, type JobResult } from "../../jobs/model/ending.ts";
import type { EndedJob } from "../../jobs/model/job.ts";
import { runtimeOf } from "../../jobs/model/runtime.ts";
import { repairAll } from "../../jobs/recovery/recover.ts";
import { exitText, markOf } from "../../jobs/summary.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { explainNoneEnded } from "../output/emptyState.ts";
import { printJson, printOut } from "../output/messages.ts";
import { type Column, renderTable } from "../output/table.ts";
import { openToRead, requireRecords } from "../session.ts";

export function history(flags: CommonFlags & { limit: number }): number {
  const context = openToRead(flags);
  requireRecords(context);
  repairAll(context);
  const ended = context.ledger.history(flags.limit);
  if (flags.json) printJson(ended.map(({ job, result }) => resultJson(job, result)));
  else printOut(renderTable(COLUMNS, ended));
  if (ended.length === 0) explainNoneEnded(context);
  context.ledger.close();
  return 0;
}

const COLUMNS: Column<{ job: EndedJob; result: JobResult }>[] = [
  { heading: "ENDED", text: ({ result }) => endText(result) },
  { heading: "JOB", text: ({ job }) => job.jobId },
  { heading: "PID", right: true, text: ({ job }) => job.process?.pid.toString() ?? "-" },
  { heading: "MODE", text: ({ job }) => job.mode },
  { heading: "RUNTIME", right: true, text: ({ job, result }) => runtimeText(job, result) },
  { heading: "EXIT", text: ({ result }) => (result.ending.kind === "detached" ? "-" : exitText(result)) },
  { heading: "EVIDENCE", text: ({ result }) => factsOfEnding(result.ending).exitEvidence ?? "none" },
  { heading: "SLA", text: ({ result }) => (result.slaCompliant ? "compliant" : "violation") },
  { heading: "REASON", text: ({ result }) => result.slaReason },
];

function endText({ endMs, endedBeforeMs }: JobResult): string {
  const text = (isoTime(endedBeforeMs ?? endMs) ?? "").slice(0, 19).replace("T", " ");
  return endedBeforeMs === null ? text : `≤ ${text}`;
}

function runtimeText(job: EndedJob, result: JobResult): string {
  const runtime = runtimeOf(job, result);
  return runtime ? [markOf(runtime), formatDuration(runtime.ms)].filter(Boolean).join(" ") : "-";
}
