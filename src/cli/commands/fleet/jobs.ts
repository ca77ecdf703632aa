import { type FleetJobJson, listJobs } from "../../../fleet/hub/nodes.ts";
import { printErr, printJson, printOut, warn } from "../../output/messages.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { tableWidth } from "../../output/terminal.ts";
import { type TimeFlags, type TimeStyle, tableTimes } from "../../output/times.ts";
import type { FleetFlags } from "./init.ts";
import { labelsText, timeText } from "./ps.ts";
import { readNodes } from "./session.ts";

interface JobsFlags extends FleetFlags, TimeFlags {
  node?: string;
  tenant?: string;
  json?: boolean;
  trunc?: boolean;
}

/** Lists the jobs that run on the nodes, as they reported last. */
export async function jobs(flags: JobsFlags): Promise<number> {
  const { nodes, reports } = await readNodes(flags, flags.node);
  const found = listJobs(nodes, reports).filter(
    ({ tenant }) => flags.tenant === undefined || tenant === flags.tenant,
  );
  if (flags.json) printJson(found);
  else {
    printOut(renderTable(columns(tableTimes(flags), reports.hubNowMs), found, tableWidth(flags)));
    if (found.length === 0)
      printErr("ffrtmp: no node has reported such a job\n  try: ffrtmp fleet ps, ffrtmp fleet results");
  }
  for (const { node, message } of reports.messages)
    if (message !== undefined && message.more > 0)
      warn(`${node} has ${message.more} more jobs, which it did not report: ssh ${node} ffrtmp ps`);
  return 0;
}

function columns(style: TimeStyle, hubNowMs: number): Column<FleetJobJson>[] {
  return [
    { heading: "NODE", text: ({ node }) => node },
    { heading: "JOB", text: ({ job_id }) => job_id },
    { heading: "STATE", text: stateText },
    { heading: "SINCE", text: ({ start_time: time }) => timeText(time, style, hubNowMs) },
    { heading: "MODE", yields: 2, text: ({ mode }) => mode },
    { heading: "PID", right: true, yields: 3, text: ({ pid }) => pid?.toString() ?? "-" },
    { heading: "TENANT", yields: 5, text: ({ tenant }) => tenant ?? "-" },
    { heading: "INTENT", yields: 4, text: ({ intent }) => intent ?? "-" },
    { heading: "LIMITS", yields: 6, text: limitsText },
    { heading: "LABELS", yields: 1, text: labelsText },
    { heading: "REPORTED", yields: 7, text: ({ last_report: time }) => timeText(time, style, hubNowMs) },
  ];
}

/** What a node does not confirm any more is in question. */
function stateText({ state, node_state: node }: FleetJobJson): string {
  return node === "silent" || node === "revoked" ? `${state}? (${node})` : state;
}

/** `3 applied, 1 refused` */
function limitsText({ limits }: FleetJobJson): string {
  const counts = Object.entries(limits).filter(([, names]) => names.length > 0);
  return counts.map(([outcome, names]) => `${names.length} ${outcome}`).join(", ") || "-";
}
