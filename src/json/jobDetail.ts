import { entriesOf } from "../ledger/reader.ts";
import type { JobDetailJson } from "./apiSchemas.ts";
import { type InspectedJob, inspectedJobJson } from "./inspectedJob.ts";
import { type ClockPair, jobViewJson, type ViewedJob } from "./jobView.ts";
import { logLineJson } from "./logLine.ts";

/** A job, as the page about this one job shows it. */
export interface DetailedJob
  extends Pick<InspectedJob, "job" | "result" | "usage" | "rings" | "events">,
    Pick<ViewedJob, "use" | "cores"> {}

/** The present use comes from the last reading of the job. */
export function jobDetailJson(detailed: DetailedJob, at: ClockPair): JobDetailJson {
  const { job, result, use, usage, rings, events } = detailed;
  const inspected = inspectedJobJson({
    job,
    result,
    processes: use?.details.pids ?? [],
    memory: use?.memory,
    usage,
    rings,
    network: use?.network ?? null,
    media: use?.media ?? null,
    hindrance: use?.hindrance ?? null,
    events,
  });
  return {
    ...jobViewJson(detailed, at),
    ...inspected,
    timeline: entriesOf(job, result, events).map(logLineJson),
  };
}
