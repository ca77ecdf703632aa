import { type LastReport, readDaemonReport } from "../../daemon/status.ts";
import type { Check } from "../../diagnostics/check.ts";
import { type RunningWatch, runChecks } from "../../diagnostics/checks.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { type Column, renderTable } from "../output/table.ts";
import { openToRead } from "../session.ts";

/** Returns exit code 0 when everything works, 1 when something is missing. */
export async function doctor(flags: CommonFlags): Promise<number> {
  const context = openToRead(flags);
  const report = readDaemonReport(context);
  const watch = report?.state === "running" ? watchOf(report) : undefined;
  const checks = [...(await runChecks(context, watch)), ...fleetPolicyChecks(report)];
  if (flags.json) printJson(checks);
  else printOut(renderTable(COLUMNS, checks));
  context.ledger.close();
  return checks.every(({ works }) => works) ? 0 : 1;
}

/** On a node of a fleet whose `watch` runs, what became of the policy of the fleet. */
function fleetPolicyChecks(report: LastReport | undefined): Check[] {
  const fleet = report?.state === "running" ? report.policy.fleet : undefined;
  if (fleet === undefined) return [];
  const { ring, in_force_ring: from, serial, state, why } = fleet;
  const inForce =
    serial === null
      ? "the policy of this machine is in force"
      : `serial ${serial} of the ring ${from} is in force`;
  const found = `${inForce}${why === null ? "" : `; ${state}: ${why}`}`;
  const works = state !== "refused" && state !== "unsupported";
  const name = `fleet policy (ring ${ring})`;
  return [
    works ? { name, works, found } : { name, works, found, cost: "this machine does not follow the fleet" },
  ];
}

/** A daemon of an earlier release has no filter and gives no reason. */
function watchOf({ counts, unfilteredBecause = null }: LastReport): RunningWatch {
  const { filteredExecs } = counts;
  const isEarlier = filteredExecs === null && unfilteredBecause === null;
  return { filteredExecs, unfilteredBecause: isEarlier ? "it is of an earlier release" : unfilteredBecause };
}

const COLUMNS: Column<Check>[] = [
  { heading: "CHECK", text: ({ name }) => name },
  { heading: "WORKS", text: ({ works }) => (works ? "yes" : "NO") },
  {
    heading: "FOUND",
    text: ({ found, cost }) => (cost === undefined ? found : `${found}. Consequence: ${cost}`),
  },
];
