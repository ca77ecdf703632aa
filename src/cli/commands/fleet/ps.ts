import type { NodeJson } from "../../../fleet/hub/nodes.ts";
import { formatDuration } from "../../../jobs/duration.ts";
import { printErr, printJson, printOut } from "../../output/messages.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { tableWidth } from "../../output/terminal.ts";
import { formatTime, type TimeFlags, type TimeStyle, tableTimes } from "../../output/times.ts";
import type { FleetFlags } from "./init.ts";
import { readNodes } from "./session.ts";

interface PsFlags extends FleetFlags, TimeFlags {
  json?: boolean;
  trunc?: boolean;
}

/** Lists the nodes of the fleet. */
export async function ps(flags: PsFlags): Promise<number> {
  const { nodes, reports } = await readNodes(flags);
  if (flags.json) printJson(nodes);
  else {
    printOut(renderTable(columns(tableTimes(flags), reports.hubNowMs), nodes, tableWidth(flags)));
    if (nodes.length === 0) printErr("ffrtmp: the fleet has no nodes\n  try: ffrtmp fleet invite NODE");
  }
  return 0;
}

function columns(style: TimeStyle, hubNowMs: number): Column<NodeJson>[] {
  return [
    { heading: "NODE", text: ({ node }) => node },
    { heading: "STATE", text: stateText },
    { heading: "LAST REPORT", yields: 5, text: (each) => timeText(each.last_report, style, hubNowMs) },
    { heading: "JOBS", right: true, text: ({ jobs }) => countText(jobs) },
    {
      heading: "WAITING",
      right: true,
      yields: 6,
      text: ({ results_waiting: waiting }) => countText(waiting),
    },
    { heading: "SLA 24H", right: true, yields: 7, text: slaText },
    { heading: "WATCH", yields: 4, text: ({ watch }) => watch ?? "-" },
    { heading: "RING", yields: 8, text: ({ ring }) => ring ?? "-" },
    { heading: "POLICY", yields: 9, text: policyText },
    { heading: "CORDONED", yields: 10, text: cordonText },
    { heading: "FFRTMP", yields: 3, text: ({ ffrtmp }) => ffrtmp ?? "-" },
    { heading: "CPUS", right: true, yields: 2, text: ({ cpus }) => countText(cpus) },
    { heading: "LABELS", yields: 1, text: labelsText },
    { heading: "PROBLEM", flexible: true, text: ({ problem }) => problem ?? "-" },
  ];
}

/** A silent node says for how long: the rest of the row was true then. A cordon is named on narrow terminals too. */
function stateText({ state, last_report_age_seconds: age, cordoned }: NodeJson): string {
  const text = state === "silent" && age !== null ? `silent ${formatDuration(age * 1000)}` : state;
  return cordoned === null ? text : `${text}, cordoned`;
}

export function timeText(time: string | null, style: TimeStyle, nowMs: number): string {
  return time === null ? "-" : formatTime(Date.parse(time), style, nowMs);
}

/** The serial in force, and what became of a later one. */
function policyText({ policy }: NodeJson): string {
  if (policy === null) return "-";
  const inForce = policy.serial?.toString() ?? "local";
  return policy.state === "applied" || policy.state === "none" ? inForce : `${inForce} (${policy.state})`;
}

function cordonText({ cordoned }: NodeJson): string {
  return cordoned === null ? "-" : `by ${cordoned.by}: ${cordoned.reason}`;
}

function countText(count: number | null): string {
  return count?.toString() ?? "-";
}

/** Rounded down, so that 100 is shown only where no job violated. */
function slaText({ eligible_jobs: eligible, compliant_jobs: compliant }: NodeJson): string {
  if (eligible === null || compliant === null || eligible === 0) return "-";
  return `${(Math.floor((compliant * 10_000) / eligible) / 100).toFixed(2)} %`;
}

export function labelsText({ labels }: { labels: Record<string, string> }): string {
  return (
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(",") || "-"
  );
}
