import { resultJson } from "../jobs/json.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { EndedJob } from "../jobs/model/job.ts";
import type { RecordedEvent } from "../jobs/model/jobEvent.ts";
import type { EventPageJson, ResultPageJson } from "./apiSchemas.ts";
import { logLineJson } from "./logLine.ts";

/** A place in the history, after which older jobs follow. */
export type HistoryPlace = Pick<JobResult, "key" | "endMs">;

interface Ended {
  readonly job: EndedJob;
  readonly result: JobResult;
}

interface Recorded {
  readonly id: number;
  readonly jobId: string | null;
  readonly event: RecordedEvent;
}

/** `found`: at most `limit` and one more, which shows that there are older ones. */
export function resultPageJson(found: readonly Ended[], limit: number): ResultPageJson {
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  return {
    results: shown.map(({ job, result }) => resultJson(job, result)),
    next: last !== undefined && found.length > limit ? formatPlace(last.result) : null,
  };
}

/** As for `resultPageJson`. */
export function eventPageJson(found: readonly Recorded[], limit: number): EventPageJson {
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  return {
    events: shown.map(({ jobId, event }) =>
      logLineJson({ kind: "recorded", atMs: event.atMs, jobId, event }),
    ),
    next: last !== undefined && found.length > limit ? String(last.id) : null,
  };
}

// 1790000000000-0199f1a2-5b7c-7def-8123-456789abcdef
function formatPlace({ key, endMs }: HistoryPlace): string {
  return `${endMs}-${key}`;
}

/** Returns `undefined` for a text that names no place. */
export function parsePlace(text: string): HistoryPlace | undefined {
  const [, digits, key] = /^(\d{1,16})-([\w-]{1,64})$/.exec(text) ?? [];
  return digits === undefined || key === undefined ? undefined : { endMs: Number(digits), key };
}
