import type { Ability } from "../../diagnostics/check.ts";
import { probeAbilities } from "../../diagnostics/checks.ts";
import type { StateFlags } from "../options/jobOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { type Column, renderTable } from "../output/table.ts";
import { openGovernor } from "../session.ts";

/** Exit code 0 when everything works, 1 when something is missing. */
export async function doctor(flags: StateFlags & { json?: boolean }): Promise<number> {
  const governor = openGovernor(flags);
  const abilities = await probeAbilities(governor);
  if (flags.json) printJson(abilities);
  else printOut(renderTable(COLUMNS, abilities));
  governor.ledger.close();
  return abilities.every(({ works }) => works) ? 0 : 1;
}

const COLUMNS: Column<Ability>[] = [
  { heading: "WHAT", text: ({ name }) => name },
  { heading: "WORKS", text: ({ works }) => (works ? "yes" : "NO") },
  { heading: "FOUND", text: ({ found, cost }) => (cost === undefined ? found : `${found}. So: ${cost}`) },
];
