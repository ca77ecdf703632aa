import { useRef } from "preact/hooks";
import type { JobView, Snapshot } from "./data.ts";
import {
  bitRateText,
  coresText,
  durationText,
  memoryLimitText,
  memoryText,
  percentText,
  quotaText,
  speedText,
  UNKNOWN,
} from "./format.ts";
import { Meter, Sparkline } from "./parts.tsx";
import { jobPath } from "./route.ts";
import { sentOf } from "./series.ts";
import { hindranceOf, progressText } from "./words.ts";

const COLUMNS = ["Job", "Speed", "Cores / quota", "2 min", "Memory / limit", "Sent", "Progress"];
/** A measurement that is older than this is said to be old. */
const OLD_SECONDS = 15;
const THROTTLED_PERCENT = 50;
/** Memory is nearly all of the limit. */
const FULL_PART = 0.95;
/** A live stream below this speed falls behind. */
const SLOW_BELOW = 0.97;

/** The running jobs: streams that fall behind, then files that only take longer, each the longest first, then the others by age. */
export function sortJobs(jobs: readonly JobView[]): JobView[] {
  const rank = (job: JobView) => {
    const hindrance = hindranceOf(job);
    return hindrance === null ? `2${job.start_time}` : `${hindrance.live ? 0 : 1}${hindrance.since}`;
  };
  return jobs.toSorted((a, b) => compare(rank(a), rank(b)) || compare(a.job_id, b.job_id));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function JobTable({ jobs, snapshot }: { jobs: readonly JobView[]; snapshot: Snapshot }) {
  const body = useRef<HTMLTableSectionElement>(null);
  return (
    <table class="jobs" aria-label="Running jobs">
      <thead>
        <tr>
          {COLUMNS.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body} onKeyDown={(event) => moveFocus(event, body.current)}>
        {jobs.map((job) => (
          <Row key={job.job_id} job={job} snapshot={snapshot} />
        ))}
      </tbody>
    </table>
  );
}

/** The arrow keys go from job to job. */
function moveFocus(event: KeyboardEvent, body: HTMLElement | null): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined || body === null) return;
  const links = [...body.querySelectorAll("a")];
  const next = links[links.indexOf(document.activeElement as HTMLAnchorElement) + step];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}

function Row({ job, snapshot }: { job: JobView; snapshot: Snapshot }) {
  const { use } = job;
  const hindrance = hindranceOf(job);
  const [mark, state, colour] = markOf(job);
  // What holds a job back now is more than what will.
  const noted = hindrance?.text ?? job.cpu_shortfall;
  const age = use === null ? 0 : (Date.parse(snapshot.time) - Date.parse(use.time)) / 1000;
  return (
    <tr>
      <th scope="row">
        <span class="line">
          <span class={`mark ${colour}`} role="img" aria-label={state}>
            {mark}
          </span>
          <a href={jobPath(job.job_id)}>{job.job_id}</a>
        </span>
        <small class={noted ? `reason ${hindrance ? colour : "warn"}` : ""}>
          {noted ?? subtitleOf(job)}
          {age > OLD_SECONDS && <span class="warn"> · measured {durationText(age)} ago</span>}
        </small>
      </th>
      <SpeedCell use={use} isSlow={hindrance?.live ?? false} />
      <CpuCell job={job} />
      <td class="wide">
        <Sparkline values={job.cpu_history} max={scaleOf(job)} />
      </td>
      <MemoryCell job={job} />
      <NetworkCell use={use} />
      <ProgressCell job={job} now={snapshot.time} />
    </tr>
  );
}

/** Returns a mark, its words and its colour. What only takes longer is said without alarm. */
export function markOf(job: JobView): readonly [string, string, string] {
  const hindrance = hindranceOf(job);
  if (hindrance !== null) return hindrance.live ? ["▲", "hindered", "warn"] : ["△", "takes longer", ""];
  return job.use ? ["●", "running", "good"] : ["○", "not measured yet", ""];
}

function subtitleOf({ tenant, user, pid }: JobView): string {
  return [tenant ?? user, pid === null ? undefined : `pid ${pid}`].filter(Boolean).join(" · ");
}

/** A line at the top means that all of the quota is used. */
function scaleOf({ cpu_history: history, limits_in_force: limits }: JobView): number {
  return Math.max(limits.cpu_cores ?? 0, 0.1, ...history.map((value) => value ?? 0));
}

function SpeedCell({ use, isSlow }: { use: JobView["use"]; isSlow: boolean }) {
  const speed = use?.media.speed ?? null;
  return (
    <td>
      <span class={isSlow && (speed ?? 1) < SLOW_BELOW ? "line bad" : "line"}>{speedText(speed)}</span>
      <small>{use === null || use.media.source === "none" ? "" : use.media.source}</small>
    </td>
  );
}

function CpuCell({ job }: { job: JobView }) {
  const quota = job.limits_in_force.cpu_cores;
  const percent = job.use?.cpu_percent ?? null;
  const cores = percent === null ? null : percent / 100;
  const throttled = job.use?.throttled_percent ?? null;
  const isThrottled = throttled !== null && throttled >= THROTTLED_PERCENT;
  return (
    <td>
      {quota === null ? (
        <span class="line cores">{coresText(cores)}</span>
      ) : (
        <Meter part={(cores ?? 0) / quota} isFull={isThrottled} />
      )}
      <small>
        {quota === null ? (
          "no quota"
        ) : (
          <span class="cores">
            {coresText(cores)} / {quotaText(quota)}
          </span>
        )}
        {throttled !== null && throttled >= 1 && ` · throttled ${percentText(throttled)}`}
      </small>
    </td>
  );
}

function MemoryCell({ job }: { job: JobView }) {
  const bytes = job.use?.memory_bytes ?? null;
  const limit = memoryLimitOf(job);
  return (
    <td>
      {limit === null ? (
        <span class="line">{memoryText(bytes)}</span>
      ) : (
        <Meter part={(bytes ?? 0) / limit} isFull={(bytes ?? 0) > FULL_PART * limit} />
      )}
      <small>{limit === null ? "no limit" : `${memoryText(bytes)} / ${memoryLimitText(limit)}`}</small>
    </td>
  );
}

/** The limit that is reached first. */
export function memoryLimitOf({
  limits_in_force: { memory_high_bytes: high, memory_max_bytes: max },
}: JobView): number | null {
  if (high === null || max === null) return high ?? max;
  return Math.min(high, max);
}

function NetworkCell({ use }: { use: JobView["use"] }) {
  const network = use?.network ?? null;
  const backlogSeconds = network?.send_backlog_seconds ?? null;
  return (
    <td>
      <span class="line sent">{bitRateText(sentOf(network))}</span>
      <small class={(backlogSeconds ?? 0) >= 2 ? "warn" : ""}>
        {backlogSeconds !== null && backlogSeconds >= 0.5 && `backlog ${backlogSeconds.toFixed(1)} s`}
      </small>
    </td>
  );
}

function ProgressCell({ job, now }: { job: JobView; now: string }) {
  const { use, start_time: start } = job;
  const ran = start === null ? UNKNOWN : durationText((Date.parse(now) - Date.parse(start)) / 1000);
  const text = use === null ? undefined : progressText(use);
  const percent = use?.media.percent ?? null;
  const left = use?.media.remaining_seconds ?? null;
  if (text === undefined)
    return (
      <td>
        <span class="line">{ran}</span>
        <small>since its start</small>
      </td>
    );
  return (
    <td>
      {percent !== null && <Meter part={percent / 100} />}
      <small>
        {text}
        {left !== null && ` · ${durationText(left)} left`}
      </small>
    </td>
  );
}
