import { parseJson } from "../../ledger/eventRows.ts";
import type { Context } from "../context.ts";
import { isSameProcess, type RunningJob } from "../model/job.ts";

/** The note of the ledger in which a daemon writes its state, once a minute at least. */
export const WATCH_REPORT = "watch_report";

interface Sighting {
  readonly atMs: number;
  readonly atBootMs?: number | undefined;
}

/**
 * Returns the wall clock at the latest recorded sign of a job's life, as far as that clock was not set since. `now` is the
 * present, in the boot of the job, or `undefined` in a later one.
 */
export function lastSeenMs(
  context: Context,
  job: RunningJob,
  now: { wallMs: number; bootMs: number } | undefined,
): number {
  const start = { atMs: job.startedMs, atBootMs: job.startedBootMs ?? undefined };
  // Events are recorded only while the job's process runs.
  const sightings: Sighting[] = [start, ...context.ledger.events(job), ...reportOf(context, job)];
  return Math.max(
    ...sightings.map(({ atMs, atBootMs }) =>
      now && atBootMs !== undefined ? now.wallMs - (now.bootMs - atBootMs) : atMs,
    ),
  );
}

/** Returns when a daemon last wrote its report, if it observed the job: it records an end that it sees at once. */
function reportOf({ ledger }: Context, { observer }: RunningJob): Sighting[] {
  // biome-ignore lint/suspicious/noExplicitAny: other versions wrote it
  const report = parseJson(ledger.note(WATCH_REPORT) ?? "null") as any;
  if (!report?.watch || typeof report.atMs !== "number" || !isSameProcess(observer, report.watch)) return [];
  const { atMs, atBootMs } = report;
  return [{ atMs, atBootMs: typeof atBootMs === "number" ? atBootMs : undefined }];
}
