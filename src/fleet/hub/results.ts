import { z } from "zod";
import { extend } from "zod/mini";
import { resultSchema } from "../../jobs/jsonSchemas.ts";
import type { Verdict } from "../../ledger/recordedJobs.ts";
import { resultsMessage } from "../messages/results.ts";
import type { StreamPart } from "./readStream.ts";

/** A message with results, each of which is checked for itself: one that cannot be read hides no other. */
export const storedResults = extend(resultsMessage, { results: z.array(z.unknown()) });

/** Thirty years. What is longer comes from a node whose word is worth nothing. */
const runtime = z.number().nonnegative().max(1e9).nullable();

/** The keys that the tables use. A later release can have more, which stay. */
const shownResult = z.looseObject({
  ...resultSchema.pick({
    job_id: true,
    pid: true,
    ending: true,
    end_time: true,
    ended_before: true,
    exit_code: true,
    signal: true,
    outcome: true,
    platform_sla_compliant: true,
    platform_sla_reason: true,
    sla_eligible: true,
    tenant: true,
  }).shape,
  runtime_seconds: runtime,
  runtime_at_most_seconds: runtime,
  runtime_at_least_seconds: runtime,
  mode: z.string(),
  seq: z.number().int(),
  key: z.string(),
});

export type FleetResult = z.output<typeof shownResult> & {
  readonly node: string;
  readonly stored: string;
  readonly ledger_id: string;
  /** An operator had stated that this attempt of a job is lost. */
  readonly superseded: boolean;
};

/** Results whose jobs ended in a period, and how many of the stored ones cannot be read. */
export interface FoundResults {
  readonly results: FleetResult[];
  readonly unreadable: number;
}

/**
 * Returns the results of the jobs that ended from `sinceMs` on and before `untilMs`, the latest end first. A job whose ledger
 * was copied to another node is listed once, under the node that sent it first. `statedLost`: the attempts of which an operator
 * has stated a loss, by `attemptOnNode`.
 */
export function listResults(
  { messages }: StreamPart<z.output<typeof storedResults>>,
  sinceMs: number,
  untilMs: number,
  statedLost: ReadonlySet<string> = new Set(),
): FoundResults {
  const results = new Map<string, FleetResult>();
  let unreadable = 0;
  for (const { node, atMs, message } of messages) {
    if (message === undefined) unreadable++;
    for (const line of message?.results ?? []) {
      const { data } = shownResult.safeParse(line);
      if (data === undefined) unreadable++;
      else {
        const endMs = endMsOf(data);
        // The stored message vouches for these, so they come last.
        const source = {
          node,
          stored: new Date(atMs).toISOString(),
          ledger_id: message?.ledger_id ?? "",
          superseded: statedLost.has(attemptOnNode(node, data.job_id)),
        };
        if (Number.isNaN(endMs)) unreadable++;
        else if (endMs >= sinceMs && endMs < untilMs && !results.has(data.key))
          results.set(data.key, { ...data, ...source });
      }
    }
  }
  return { results: [...results.values()].sort((a, b) => endMsOf(b) - endMsOf(a)), unreadable };
}

/** Names an attempt of a fleet's job, by its node and its id in the ledger there. */
export function attemptOnNode(node: string, id: string): string {
  return `${node} ${id}`;
}

/** Where the end was not observed, a time at which the job had ended. */
export function endMsOf({ end_time, ended_before }: Pick<FleetResult, "end_time" | "ended_before">): number {
  return Date.parse(end_time ?? ended_before ?? "");
}

/** Returns the verdict of a result, for rates by node or by tenant. */
export function verdictOf(result: FleetResult, group: "node" | "tenant"): Verdict {
  return {
    tenant: result[group],
    isEligible: result.sla_eligible,
    isCompliant: result.platform_sla_compliant,
    reason: result.platform_sla_reason,
  };
}
