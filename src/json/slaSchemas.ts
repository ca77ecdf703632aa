import { z } from "zod";
import { described, text, time } from "../jobs/jsonSchemas.ts";

const rate = z.strictObject({
  eligible: described(z.number(), "jobs with `--sla-eligible` that ended in the period"),
  compliant: described(z.number(), "the eligible jobs for which the platform did its part"),
  violations: described(z.number(), "the other eligible jobs"),
  rate_percent: described(
    z.number().nullable(),
    "the share of the compliant jobs, in percent, rounded down to 0.01; `null`: no eligible job ended",
  ),
  reasons: described(
    z.array(z.strictObject({ reason: z.string(), jobs: z.number() })),
    "the violations by their `platform_sla_reason`, the most frequent first",
  ),
});

export const slaRates = z
  .strictObject({
    since: time("the start of the period"),
    until: time("the end of the period, which is not in it"),
    overall: described(rate, "the jobs of all tenants, and those without one"),
    tenants: described(
      z.array(rate.extend({ tenant: text("the tenant; `null`: jobs without one") })),
      "the jobs of each tenant, the lowest rate first",
    ),
    not_eligible: described(z.number(), "jobs that ended in the period and are not eligible"),
  })
  .meta({ id: "SlaRates", description: "How often the platform did its part in a period." });

export const fleetSla = slaRates
  .extend({
    nodes: described(
      z.array(rate.extend({ node: z.string() })),
      "the jobs of each node, the lowest rate first",
    ),
  })
  .meta({
    id: "FleetSlaRates",
    description: "How often the platforms of a fleet did their part in a period.",
  });
