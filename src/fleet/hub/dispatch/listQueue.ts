import type { z } from "zod";
import type { queuedJobJson } from "../../../json/fleetSchemas.ts";
import type { JobBody } from "../../messages/job.ts";
import { type Attempt, type JobRecord, lastAttempt, stateOfAttempt, stateOfJob } from "./attempts.ts";
import { type PoolView, whyWaiting } from "./waiting.ts";

export type QueuedJobJson = z.input<typeof queuedJobJson>;

/** Returns the jobs in the order of their submission, as JSON. `view`: what tells why some wait. */
export function listQueue(
  records: ReadonlyMap<string, JobRecord>,
  hubNowMs: number,
  view: PoolView,
): QueuedJobJson[] {
  return [...records.values()]
    .map((record) => describe(record, hubNowMs, view))
    .sort((a, b) => (a.submitted ?? "").localeCompare(b.submitted ?? "") || a.job.localeCompare(b.job));
}

function describe(record: JobRecord, nowMs: number, view: PoolView): QueuedJobJson {
  const { id, job, submittedMs } = record;
  const last = lastAttempt(record);
  const notAfterMs = job === undefined ? Number.POSITIVE_INFINITY : Date.parse(job.not_after);
  const state = stateOfJob(record, nowMs);
  return {
    job: id,
    state,
    attempt: last?.attempt ?? null,
    node: last === undefined ? null : nodeOf(last),
    since: timeOf(last === undefined ? submittedMs : sinceOf(last)),
    pool: job?.pool ?? null,
    template: job?.template ?? null,
    attempts_allowed: job?.attempts ?? null,
    rerun: job?.rerun ?? null,
    not_before: job?.not_before ?? null,
    not_after: job?.not_after ?? null,
    submitted: timeOf(submittedMs),
    by: job?.by ?? null,
    labels: job?.labels ?? {},
    waiting: state === "offered" && job !== undefined ? waitingOf(job, nowMs, view) : null,
    attempts: [...record.attempts.values()]
      .sort((a, b) => a.attempt - b.attempt)
      .map((attempt) => ({
        attempt: attempt.attempt,
        state: stateOfAttempt(attempt, notAfterMs, nowMs),
        node: nodeOf(attempt),
        since: timeOf(sinceOf(attempt)),
        reason: reasonOf(attempt),
        result:
          attempt.result === undefined
            ? null
            : {
                outcome: attempt.result.outcome,
                exit_code: attempt.result.exit_code,
                key: attempt.result.key,
              },
      })),
  };
}

function waitingOf(job: JobBody, nowMs: number, view: PoolView): string | null {
  if (job.not_before !== null && nowMs < Date.parse(job.not_before)) return `not before ${job.not_before}`;
  return whyWaiting(job, view);
}

function nodeOf({ claim, loss }: Attempt): string | null {
  return claim?.node ?? loss?.node ?? null;
}

/** When the state began, by the clock of the hub. */
function sinceOf({ offeredMs, claim, loss, withdrawn, result }: Attempt): number | undefined {
  const storedMs = result === undefined ? undefined : Date.parse(result.stored);
  return withdrawn?.atMs ?? loss?.atMs ?? storedMs ?? claim?.atMs ?? offeredMs;
}

function reasonOf({ loss, withdrawn, result }: Attempt): string | null {
  if (withdrawn !== undefined) return `cancelled by ${withdrawn.by}`;
  if (loss !== undefined)
    return loss.by === null ? `${loss.reason}: ${loss.why}` : `stated by ${loss.by}: ${loss.why}`;
  return result?.platform_sla_reason ?? null;
}

function timeOf(ms: number | undefined): string | null {
  return ms === undefined || Number.isNaN(ms) ? null : new Date(ms).toISOString();
}
