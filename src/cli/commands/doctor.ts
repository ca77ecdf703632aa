import type { Check } from "../../diagnostics/check.ts";
import { runChecks } from "../../diagnostics/checks.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { type Column, renderTable } from "../output/table.ts";
import { openToRead } from "../session.ts";

/** Returns exit code 0 when everything works, 1 when something is missing. */
export async function doctor(flags: CommonFlags): Promise<number> {
  const context = openToRead(flags);
  const checks = await runChecks(context);
  if (flags.json) printJson(checks);
  else printOut(renderTable(COLUMNS, checks));
  context.ledger.close();
  return checks.every(({ works }) => works) ? 0 : 1;
}

const COLUMNS: Column<Check>[] = [
  { heading: "CHECK", text: ({ name }) => name },
  { heading: "WORKS", text: ({ works }) => (works ? "yes" : "NO") },
  {
    heading: "FOUND",
    text: ({ found, cost }) => (cost === undefined ? found : `${found}. Consequence: ${cost}`),
  },
];
