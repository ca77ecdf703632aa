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
  const checks = await runChecks(context, watch);
  if (flags.json) printJson(checks);
  else printOut(renderTable(COLUMNS, checks));
  context.ledger.close();
  return checks.every(({ works }) => works) ? 0 : 1;
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
