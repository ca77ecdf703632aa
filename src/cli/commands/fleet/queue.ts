import { OPEN_STATES } from "../../../fleet/hub/dispatch/attempts.ts";
import { listQueue, type QueuedJobJson } from "../../../fleet/hub/dispatch/listQueue.ts";
import { readPoolView } from "../../../fleet/hub/dispatch/poolView.ts";
import { readJobs } from "../../../fleet/hub/dispatch/readJobs.ts";
import { isNodeName, NODE_NAME } from "../../../fleet/token.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { timeOptions } from "../../options/timeOptions.ts";
import { printErr, printJson, printOut } from "../../output/messages.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { tableWidth } from "../../output/terminal.ts";
import { type TimeFlags, type TimeStyle, tableTimes } from "../../output/times.ts";
import type { FleetFlags } from "./init.ts";
import { readReports } from "./operator.ts";
import { labelsText, timeText } from "./ps.ts";
import { withHub } from "./session.ts";

interface QueueFlags extends FleetFlags, TimeFlags {
  all?: boolean;
  pool?: string;
  since?: string;
  json?: boolean;
  trunc?: boolean;
}

const WEEK_MS = 7 * 86_400_000;

/** Lists the jobs that were submitted, or one of them, and what has become of each. */
export async function queue(job: string | undefined, flags: QueueFlags): Promise<number> {
  checkJobId(job);
  const nowMs = Date.now();
  const sinceMs = flags.since === undefined ? nowMs - WEEK_MS : timeOptions.since(flags.since, nowMs);
  const { records, hubNowMs, view } = await withHub(flags, async (connection, directory) => {
    const fleet = directory.read();
    const scope = job === undefined ? { sinceMs } : { jobs: [job] };
    const read = await readJobs(connection, Object.keys(fleet.nodes), scope);
    const nodes = await readReports(connection, directory);
    return { ...read, view: await readPoolView(connection, fleet, nodes) };
  });
  const jobs = listQueue(records, hubNowMs, view).filter(
    ({ state, pool }) =>
      (flags.pool === undefined || pool === flags.pool) &&
      (flags.all || job !== undefined || OPEN_STATES.includes(state)),
  );
  if (job !== undefined && jobs.length === 0) throw unknownJob(job);
  if (flags.json) printJson(jobs);
  else {
    printOut(renderTable(columns(tableTimes(flags), hubNowMs), jobs, tableWidth(flags)));
    if (jobs.length === 0)
      printErr(
        flags.all
          ? "ffrtmp: no job is known"
          : "ffrtmp: no job is waiting, running or lost\n  try: ffrtmp fleet queue --all, for those that have ended, expired or were cancelled",
      );
  }
  return 0;
}

export function checkJobId(job: string | undefined): void {
  if (job !== undefined && !isNodeName(job))
    throw new Refusal(`${JSON.stringify(job)} is not the id of a job: ${NODE_NAME}`);
}

export function unknownJob(job: string): Refusal {
  return new Refusal(`the hub knows no job ${job}`, "ffrtmp fleet queue --all");
}

function columns(style: TimeStyle, hubNowMs: number): Column<QueuedJobJson>[] {
  return [
    { heading: "JOB", text: ({ job }) => job },
    { heading: "STATE", text: stateText },
    { heading: "SINCE", text: ({ since }) => timeText(since, style, hubNowMs) },
    { heading: "NODE", text: ({ node }) => node ?? "-" },
    { heading: "TRY", right: true, yields: 4, text: tryText },
    { heading: "POOL", yields: 3, text: ({ pool }) => pool ?? "-" },
    { heading: "TEMPLATE", yields: 5, text: ({ template }) => template ?? "-" },
    { heading: "EXPIRES", yields: 2, text: ({ not_after: time }) => timeText(time, style, hubNowMs) },
    { heading: "LABELS", yields: 1, text: labelsText },
    // It says what to do about a lost job. `queue JOB` has the rest of the width for the one that is asked for.
    { heading: "REASON", flexible: true, minWidth: 30, text: reasonText },
  ];
}

/** An end has its outcome, which is what an operator looks for. */
function stateText({ state, attempts }: QueuedJobJson): string {
  return state === "ended" ? `ended, ${attempts.at(-1)?.result?.outcome ?? "unknown"}` : state;
}

function tryText({ attempt, attempts_allowed: allowed }: QueuedJobJson): string {
  return attempt === null ? "-" : `${attempt}/${allowed ?? "?"}`;
}

function reasonText({ attempts, waiting }: QueuedJobJson): string {
  const superseded = attempts.filter(({ state }) => state === "superseded");
  const late = superseded.map(
    ({ attempt, node }) => `attempt ${attempt} has ended on ${node} after it was stated lost`,
  );
  return [...late, waiting ?? attempts.at(-1)?.reason ?? ""].filter((text) => text !== "").join("; ") || "-";
}
