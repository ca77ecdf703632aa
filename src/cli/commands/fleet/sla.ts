import { verdictOf } from "../../../fleet/hub/results.ts";
import { countVerdicts, slaRatesJson } from "../../../jobs/exit/slaRates.ts";
import { printJson, printOut } from "../../output/messages.ts";
import { slaTable } from "../../output/slaFigures.ts";
import { type PeriodFlags, readResults, warnUnreadable } from "./results.ts";

interface SlaFlags extends PeriodFlags {
  by: "node" | "tenant";
  utc?: boolean;
  json?: boolean;
}

/** Shows how many of the eligible jobs of all nodes were compliant, in the figures of `history --sla`. */
export async function sla(flags: SlaFlags): Promise<number> {
  const { results, unreadable, sinceMs, untilMs } = await readResults(flags);
  const ratesBy = (group: "node" | "tenant") =>
    countVerdicts(
      results.map((result) => verdictOf(result, group)),
      sinceMs,
      untilMs,
    );
  if (flags.json) {
    const nodes = slaRatesJson(ratesBy("node")).tenants.map(({ tenant, ...rate }) => ({
      node: tenant,
      ...rate,
    }));
    printJson({ ...slaRatesJson(ratesBy("tenant")), nodes });
  } else printOut(slaTable(ratesBy(flags.by), flags.utc ? "utc" : "local", flags.by.toUpperCase()));
  warnUnreadable(unreadable);
  return 0;
}
