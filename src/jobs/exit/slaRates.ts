import type { HistoryFilter } from "../../ledger/endedJobs.ts";
import type { Ledger } from "../../ledger/ledger.ts";
import type { Verdict } from "../../ledger/recordedJobs.ts";

/** The jobs with `--sla-eligible` that ended in a period. */
export interface SlaRate {
  readonly eligible: number;
  readonly compliant: number;
  readonly violations: number;
  /** The violations by their reason, the most frequent first. */
  readonly reasons: ReadonlyMap<string, number>;
}

export interface SlaRates {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly overall: SlaRate;
  /** By the name of the tenant, `null` for jobs without one; the lowest rate first. */
  readonly tenants: ReadonlyMap<string | null, SlaRate>;
  /** Jobs that ended in the period and are not eligible. */
  readonly notEligible: number;
}

/** Counts the verdicts about the jobs that ended from `sinceMs` on and before `untilMs`. */
export function slaRates(
  ledger: Ledger,
  sinceMs: number,
  untilMs: number,
  which: Pick<HistoryFilter, "jobId" | "tenant"> = {},
): SlaRates {
  return countVerdicts(ledger.verdicts({ ...which, sinceMs, untilMs }), sinceMs, untilMs);
}

/** Counts verdicts about jobs that ended in a period. */
export function countVerdicts(verdicts: Iterable<Verdict>, sinceMs: number, untilMs: number): SlaRates {
  const all = new Count();
  const byTenant = new Map<string | null, Count>();
  let notEligible = 0;
  for (const { tenant, isEligible, isCompliant, reason } of verdicts) {
    if (!isEligible) {
      notEligible++;
      continue;
    }
    const ofTenant = byTenant.get(tenant) ?? new Count();
    byTenant.set(tenant, ofTenant);
    for (const count of [all, ofTenant]) count.add(isCompliant ? undefined : reason);
  }
  const rates = [...byTenant].map(([tenant, count]) => [tenant, count.rate()] as const);
  const share = ({ eligible, compliant }: SlaRate): number => compliant / eligible;
  const name = (tenant: string | null): string => tenant ?? "";
  rates.sort(([a, rateA], [b, rateB]) => share(rateA) - share(rateB) || (name(a) < name(b) ? -1 : 1));
  return { sinceMs, untilMs, overall: all.rate(), tenants: new Map(rates), notEligible };
}

/**
 * Returns the share of compliant jobs in percent, rounded down to 0.01: 100 is shown only where no job violated.
 * `null`: no eligible job has ended.
 */
export function percentOf({ eligible, compliant }: SlaRate): number | null {
  return eligible === 0 ? null : Math.floor((compliant * 10_000) / eligible) / 100;
}

export function slaRatesJson(rates: SlaRates) {
  const { sinceMs, untilMs, overall, tenants, notEligible } = rates;
  return {
    since: new Date(sinceMs).toISOString(),
    until: new Date(untilMs).toISOString(),
    overall: rateJson(overall),
    tenants: [...tenants].map(([tenant, rate]) => ({ tenant, ...rateJson(rate) })),
    not_eligible: notEligible,
  };
}

function rateJson(rate: SlaRate) {
  const { eligible, compliant, violations, reasons } = rate;
  const counts = [...reasons].map(([reason, jobs]) => ({ reason, jobs }));
  return { eligible, compliant, violations, rate_percent: percentOf(rate), reasons: counts };
}

class Count {
  #compliant = 0;
  readonly #reasons = new Map<string, number>();

  /** `reason`: of a violation. */
  add(reason: string | undefined): void {
    if (reason === undefined) this.#compliant++;
    else this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }

  rate(): SlaRate {
    const reasons = [...this.#reasons].sort(([, a], [, b]) => b - a);
    const violations = reasons.reduce((sum, [, count]) => sum + count, 0);
    return {
      eligible: this.#compliant + violations,
      compliant: this.#compliant,
      violations,
      reasons: new Map(reasons),
    };
  }
}
