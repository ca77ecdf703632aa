import { readStatedLosses } from "../../../fleet/hub/dispatch/readJobs.ts";
import { unknownNode } from "../../../fleet/hub/fleetDirectory.ts";
import { readStream } from "../../../fleet/hub/readStream.ts";
import {
  endMsOf,
  type FleetResult,
  type FoundResults,
  listResults,
  storedResults,
} from "../../../fleet/hub/results.ts";
import { formatDuration } from "../../../jobs/duration.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { timeOptions } from "../../options/timeOptions.ts";
import { printErr, printJson, printOut, warn } from "../../output/messages.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { tableWidth } from "../../output/terminal.ts";
import {
  formatTime,
  formatTimeOfDay,
  type TimeFlags,
  type TimeStyle,
  tableTimes,
} from "../../output/times.ts";
import type { FleetFlags } from "./init.ts";
import { checkNodeName, withHub } from "./session.ts";

export interface PeriodFlags extends FleetFlags {
  since?: string;
  until?: string;
  node?: string;
  tenant?: string;
}

interface ResultsFlags extends PeriodFlags, TimeFlags {
  failed?: boolean;
  violations?: boolean;
  limit: number;
  json?: boolean;
  trunc?: boolean;
}

const DAY_MS = 86_400_000;
/**
 * A result is stored after its job has ended. But the end is by the clock of the node, and the time in the stream by that of
 * the hub: the reading begins earlier by as much as a clock may be wrong.
 */
const CLOCK_MARGIN_MS = DAY_MS;

/** Lists the results of all nodes. */
export async function results(flags: ResultsFlags): Promise<number> {
  const { results: inPeriod, unreadable, sinceMs } = await readResults(flags);
  const found = inPeriod.filter(
    ({ outcome, platform_sla_compliant: isCompliant }) =>
      (!flags.failed || outcome === "failed" || outcome === "killed") && (!flags.violations || !isCompliant),
  );
  const shown = found.slice(0, flags.limit);
  if (flags.json) printJson(shown);
  else {
    printOut(renderTable(columns(tableTimes(flags), Date.now()), shown, tableWidth(flags)));
    if (found.length === 0)
      printErr(`ffrtmp: the hub has no such result since ${formatTimeOfDay(sinceMs, "local")}`);
  }
  if (found.length > shown.length)
    warn(
      `only the latest ${shown.length} of ${found.length} are shown. For more: ffrtmp fleet results --limit N`,
    );
  warnUnreadable(unreadable);
  return 0;
}

/** Reads the results of the period that the flags give, by default of the last day. */
export async function readResults(
  flags: PeriodFlags,
): Promise<FoundResults & { sinceMs: number; untilMs: number }> {
  const nowMs = Date.now();
  const untilMs = flags.until === undefined ? nowMs + CLOCK_MARGIN_MS : timeOptions.until(flags.until, nowMs);
  const sinceMs = flags.since === undefined ? nowMs - DAY_MS : timeOptions.since(flags.since, nowMs);
  if (sinceMs >= untilMs) throw new Refusal(`--until ${flags.until} is not later than --since`);
  return withHub(flags, async (connection, directory) => {
    const names = Object.keys(directory.read().nodes);
    checkNodeName(flags.node, names);
    const options = { node: flags.node, sinceMs: sinceMs - CLOCK_MARGIN_MS };
    const part = await readStream(connection, "RESULTS", storedResults, options);
    if (flags.node !== undefined && part.messages.length === 0 && !names.includes(flags.node))
      throw unknownNode(flags.node, names);
    // A loss is stated at any time before the result arrives.
    const stated = await readStatedLosses(connection, 0);
    const found = listResults(part, sinceMs, untilMs, stated);
    const ofTenant = found.results.filter(
      ({ tenant }) => flags.tenant === undefined || tenant === flags.tenant,
    );
    return { ...found, results: ofTenant, sinceMs, untilMs: Math.min(untilMs, nowMs + 1) };
  });
}

export function warnUnreadable(count: number): void {
  if (count === 0) return;
  const are = count === 1 ? "1 result is" : `${count} results are`;
  warn(`${are} left out: damaged at the node, or of a form that this release of ffrtmp does not know`);
}

function columns(style: TimeStyle, nowMs: number): Column<FleetResult>[] {
  return [
    { heading: "NODE", text: ({ node }) => node },
    { heading: "OUTCOME", text: ({ outcome }) => outcome },
    { heading: "ENDED", text: (each) => formatTime(endMsOf(each), style, nowMs, each.end_time === null) },
    { heading: "JOB", text: ({ job_id }) => job_id },
    { heading: "EXIT", text: exitText },
    { heading: "RUNTIME", right: true, yields: 4, text: runtimeText },
    { heading: "SLA", text: ({ platform_sla_compliant: is }) => (is ? "compliant" : "violation") },
    { heading: "REASON", flexible: true, text: reasonText },
    { heading: "MODE", yields: 2, text: ({ mode }) => mode },
    { heading: "TENANT", yields: 1, text: ({ tenant }) => tenant ?? "-" },
    { heading: "PID", right: true, yields: 3, text: ({ pid }) => pid?.toString() ?? "-" },
  ];
}

function reasonText({ superseded, platform_sla_reason: reason }: FleetResult): string {
  return superseded ? `superseded: it was stated lost; ${reason}` : reason;
}

function exitText({ ending, signal, exit_code: code }: FleetResult): string {
  return ending === "detached" ? "-" : (signal ?? code?.toString() ?? "unknown");
}

function runtimeText(result: FleetResult): string {
  const { runtime_seconds: exact, runtime_at_most_seconds: most, runtime_at_least_seconds: least } = result;
  if (exact !== null) return formatDuration(exact * 1000);
  if (most !== null) return `≤ ${formatDuration(most * 1000)}`;
  return least === null ? "-" : `≥ ${formatDuration(least * 1000)}`;
}
