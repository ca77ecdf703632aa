import { formatDuration } from "../../jobs/duration.ts";
import { eventJson } from "../../jobs/json.ts";
import type { Job } from "../../jobs/model/job.ts";
import { startedMsOf } from "../../jobs/model/job.ts";
import type { JobEvent, RecordedEvent } from "../../jobs/model/jobEvent.ts";

/** An entry of the timeline of a job. */
export interface TimelineEntry {
  readonly atMs: number;
  readonly text: string;
}

type Texts = { [Kind in JobEvent["kind"]]?: (detail: Extract<JobEvent, { kind: Kind }>["detail"]) => string };

const TEXTS: Texts = {
  adopted: (detail) =>
    "observer_pid" in detail
      ? `observed by ffrtmp PID ${detail.observer_pid} from here on`
      : `taken over: ${detail.because}`,
  handed_over: ({ observer_pid }) => `handed over to ffrtmp PID ${observer_pid}`,
  observer_died: () => "its observer died; the job kept running",
  observer_left: ({ signal }) =>
    `its observer stopped${signal === undefined ? "" : ` (${signal})`}; the job kept running`,
  released_by_policy: ({ because }) => `released: ${because}`,
  returned_to_policy: () => "returned to the policy",
  detach_failed: ({ failures }) => `detach failed: ${failures.join("; ")}`,
  limits_changed: ({ because, now }) => `limits changed to ${now.join(", ") || "none"}: ${because}`,
  reapplied: ({ what, found, wanted }) => `${what} was changed to ${found}; set to ${wanted} again`,
  given_again: ({ what, found, wanted }) => `${what} was lost (${found}); set to ${wanted} again`,
  repair_refused: ({ what, found, wanted }) => `${what} is ${found}; the kernel refused ${wanted}`,
  left_alone: ({ what, found, wanted }) => `${what} is ${found} instead of ${wanted}; left as it is`,
  left_behind: ({ pids }) => `left processes behind: ${pids.join(" ")}`,
  last_gone: () => "the last process that it left behind has ended",
};

/** Returns what is recorded about a job that runs, the latest first. */
export function timelineOf(job: Job, events: readonly RecordedEvent[]): TimelineEntry[] {
  const startedMs = startedMsOf(job);
  const start = { run: "started", attach: "attached", watch: "found and governed" }[job.mode as string];
  return [
    ...(startedMs === null ? [] : [{ atMs: startedMs, text: startText(job, start ?? "governed") }]),
    ...events.map((event) => ({ atMs: event.atMs, text: eventText(event) })),
  ].toReversed();
}

function startText({ mode, process, decidedBy, outcomes }: Job, verb: string): string {
  const by = decidedBy === null ? `by ffrtmp ${mode}` : `by ${decidedBy}`;
  const pid = process === null ? "" : `, PID ${process.pid}`;
  return `${verb} ${by}${pid}${outcomes.length === 0 ? ", without limits" : ""}`;
}

/** By their names in the ledger: their details are those of the judge, which says them in words itself. */
const HINDRANCE_TEXTS: Record<string, (detail: Record<string, unknown>) => string> = {
  held_back: ({ text }) => String(text),
  held_back_ended: ({ seconds }) => `no longer held back, after ${formatDuration(1000 * Number(seconds))}`,
};

function eventText(event: RecordedEvent): string {
  const toText =
    event.kind === "other" ? undefined : (TEXTS[event.kind] as ((detail: unknown) => string) | undefined);
  if (toText !== undefined) return toText(event.detail);
  const { kind, detail } = eventJson(event);
  const facts = typeof detail === "object" && detail !== null ? { ...detail } : {};
  const ofHindrance = HINDRANCE_TEXTS[String(kind)];
  if (ofHindrance !== undefined) return ofHindrance(facts);
  const words = Object.entries(facts).map(
    ([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`,
  );
  return [String(kind).replaceAll("_", " "), ...words].join(" ");
}

/** Returns the local time of day; with the date where that is another day than now. */
export function clockText(atMs: number, nowMs: number): string {
  const [date, now] = [new Date(atMs), new Date(nowMs)];
  const time = date.toTimeString().slice(0, 8);
  if (date.toDateString() === now.toDateString()) return time;
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  return `${day.map((part) => String(part).padStart(2, "0")).join("-")} ${time}`;
}
