import type { JobReading } from "./jobReading.ts";
import { type Rates, type Reading, ratesBetween, type SummedRates, sumKnown, sumRates } from "./rates.ts";
import type { JobSample } from "./sampler.ts";

/** The present use of resources by all jobs of one tenant. */
export interface TenantTotal {
  readonly tenant: string;
  readonly jobs: number;
  /** `throttledPercent`: by the quota of the tenant's total, not by the quotas of its jobs. */
  readonly rates: (SummedRates & Pick<Rates, "throttledPercent">) | null;
  readonly memoryBytes: number | null;
  readonly rssBytes: number | null;
  readonly processCount: number | null;
}

/** Returns the totals of the tenants of these jobs, the largest CPU use first. A value that is unknown for one job is unknown for its tenant. */
export function tenantTotals(samples: readonly JobSample[]): TenantTotal[] {
  const byTenant = Map.groupBy(samples, ({ job }) => job.tenant);
  const totals = [...byTenant].flatMap(([tenant, of]): TenantTotal[] => {
    if (tenant === null) return [];
    // A job that has just appeared has used nothing that was measured.
    const rates = of.flatMap((sample) => sample.rates ?? []);
    return [
      {
        tenant,
        jobs: of.length,
        rates: rates.length === 0 ? null : { ...sumRates(rates), throttledPercent: throttledPercentOf(of) },
        memoryBytes: sumKnown(of.map(({ memory }) => memory.bytes)),
        rssBytes: sumKnown(of.map(({ memory }) => memory.rssBytes)),
        processCount: sumKnown(of.map(({ processCount }) => processCount)),
      },
    ];
  });
  const use = ({ rates }: TenantTotal) => rates?.cpuPercent ?? -1;
  return totals.sort((a, b) => use(b) - use(a) || a.tenant.localeCompare(b.tenant));
}

function throttledPercentOf(samples: readonly JobSample[]): number | null {
  const percents = samples.flatMap(({ before, now }) =>
    before === null ? [] : (tenantThrottledPercent(before, now) ?? []),
  );
  return percents.length === 0 ? null : Math.max(...percents);
}

/**
 * Returns the part of the periods in which the quota of its tenant's total stopped a job, between two readings. `null`:
 * it has none. A tenant whose jobs come from several cgroups has a cgroup in each: the one that is throttled most
 * counts.
 */
export function tenantThrottledPercent(before: JobReading, now: JobReading): number | null {
  const percents = [...now.tenantCounters].flatMap(([path, counters]) => {
    const earlier = before.tenantCounters.get(path);
    if (earlier === undefined) return [];
    const reading = (of: Reading, each: typeof counters): Reading => ({
      atBootMs: of.atBootMs,
      counters: each,
    });
    return ratesBetween(reading(before, earlier), reading(now, counters)).throttledPercent ?? [];
  });
  return percents.length === 0 ? null : Math.max(...percents);
}
