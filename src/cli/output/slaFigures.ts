import { percentOf, type SlaRate, type SlaRates, slaRates } from "../../jobs/exit/slaRates.ts";
import type { Ledger } from "../../ledger/ledger.ts";
import { type Column, type Pair, renderTable } from "./table.ts";
import { formatTimeOfDay } from "./times.ts";

const DAY_MS = 86_400_000;
/** A machine can have thousands of tenants. */
const MAX_TENANT_PAIRS = 5;
/** A name of a tenant has no parentheses around it. */
const [ALL, WITHOUT_TENANT] = ["(all)", "(no tenant)"];

type Row = [name: string, rate: SlaRate];

/**
 * Returns the table of `history --sla`, or a sentence where no eligible job ended. `group`: what the rates have as tenants,
 * where it is something else.
 */
export function slaTable(rates: SlaRates, style: "local" | "utc", group = "TENANT"): string {
  const { sinceMs, untilMs, overall, tenants, notEligible } = rates;
  const [since, until] = [sinceMs, untilMs].map((ms) => formatTimeOfDay(ms, style));
  const others =
    notEligible === 0
      ? ""
      : `\n${jobsText(notEligible, "other job")} ended that ${notEligible === 1 ? "is" : "are"} not --sla-eligible`;
  if (overall.eligible === 0) return `No --sla-eligible job ended from ${since} to ${until}${others}`;
  const named = [...tenants].map(([tenant, rate]): Row => [tenant ?? WITHOUT_TENANT, rate]);
  const hasTenants = [...tenants.keys()].some((tenant) => tenant !== null);
  const rows: Row[] = [[ALL, overall], ...(hasTenants ? named : [])];
  return `SLA from ${since} to ${until}\n\n${renderTable([{ ...NAME, heading: group }, ...COLUMNS], rows)}${others && `\n${others}`}`;
}

const NAME: Column<Row> = { heading: "TENANT", text: ([name]) => name };
const COLUMNS: Column<Row>[] = [
  { heading: "JOBS", right: true, text: ([, { eligible }]) => String(eligible) },
  { heading: "COMPLIANT", right: true, text: ([, { compliant }]) => String(compliant) },
  { heading: "VIOLATIONS", right: true, text: ([, { violations }]) => String(violations) },
  { heading: "RATE", right: true, text: ([, rate]) => percentText(rate) },
  {
    heading: "REASONS",
    text: ([, { reasons }]) => [...reasons].map(([reason, jobs]) => `${reason}: ${jobs}`).join(", "),
  },
];

/** Returns the rates of the last 24 hours, overall and of the tenants with the lowest rates, for `ps --daemon`. */
export function slaPairs(ledger: Ledger, nowMs: number): Pair[] {
  const { overall, tenants } = slaOfLastDay(ledger, nowMs);
  if (overall.eligible === 0) return [["sla, last 24 h", "no --sla-eligible job ended"]];
  const named = [...tenants].filter(([tenant]) => tenant !== null);
  const hidden = named.slice(MAX_TENANT_PAIRS).length;
  return [
    ["sla, last 24 h", rateText(overall)],
    ...named.slice(0, MAX_TENANT_PAIRS).map(([tenant, rate]): Pair => ["", `${tenant}: ${rateText(rate)}`]),
    ...(hidden > 0 ? [["", `${hidden} more tenants: ffrtmp history --sla`] satisfies Pair] : []),
  ];
}

export function slaOfLastDay(ledger: Ledger, nowMs: number): SlaRates {
  return slaRates(ledger, nowMs - DAY_MS, nowMs);
}

function rateText(rate: SlaRate): string {
  const violations = rate.violations === 1 ? "1 violation" : `${rate.violations} violations`;
  return `${percentText(rate)} of ${jobsText(rate.eligible, "job")}, ${violations}`;
}

function percentText(rate: SlaRate): string {
  return `${percentOf(rate)?.toFixed(2)} %`;
}

function jobsText(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}
